"""The photograph under forgery, with everything that forging it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from synthesis.photo.camera import Camera
from synthesis.scene.composition import Composer
from synthesis.scene.regions import Region
from synthesis.scene.scene import Scene, SceneWord
from synthesis.text.corpus import similar_word
from synthesis.text.fonts import covers

_TRIES = 8


@dataclass
class ForgeryContext:
    """A photograph, the scene that it shows, and the means to forge it.

    Args:
        rng: source of all draws.
        composer: of the scene, with its fonts and options.
        photographs: other photographs to splice from.
        camera: that took the photograph.
        min_height: pixels; smaller words stay genuine.
        picture: the photograph, uint8 (S, S, 3) RGB; forging changes it.
    """

    rng: Generator
    composer: Composer
    photographs: Sequence[Path]
    camera: Camera
    min_height: float
    picture: np.ndarray

    @property
    def scene(self) -> Scene:
        """The scene that the photograph shows."""
        return self.composer.scene

    def around(self, word: SceneWord, margin: int) -> Region:
        """The part of the picture within `margin` pixels of a word."""
        return word.region().grown(margin).clipped(self.scene.size)

    def can_forge(self, word: SceneWord) -> bool:
        """Whether a word is legible, large enough, and no lookalike."""
        return word.legible and word.height >= self.min_height and not word.imitates

    def similar_font(self, word: SceneWord) -> str:
        """Path of another font of about the same weight."""
        return self.composer.fonts.similar_face(self.rng, word.font, word.script).path

    def other_text(self, word: SceneWord, font: str | None = None) -> str:
        """A similar string that a font, by default the word's, covers; the same one without any."""
        for _ in range(_TRIES):
            text = similar_word(self.rng, word.text, word.script)
            if text != word.text and covers(font or word.font, text):
                return text
        return word.text
