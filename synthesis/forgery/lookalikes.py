"""Twins: genuine texts that look as if they were forged, put into the scene before the camera.

A word that really stands there twice, a sticker, a line in another font, a label on a flat strip,
a word on soft ground: without them a network would only have to find blur, noise or an edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from synthesis.forgery.patches import blend
from synthesis.photo.backgrounds import draw_background
from synthesis.photo.camera import Camera, draw_camera
from synthesis.sampling import between, pick
from synthesis.scene.composition import Composer, Draft
from synthesis.scene.scene import Region, Scene, SceneWord, clipped, region_of, slices, take
from synthesis.scene.signs import Panel
from synthesis.text.corpus import similar_word
from synthesis.text.fonts import covers
from synthesis.text.lettering import Style, luma
from synthesis.text.typesetting import Line

_LEAST_CONTRAST = 45.0  # grey levels between a repeated word's paint and its new surface
LEAST_HEIGHT = 10.0  # pixels; forging smaller words would change nothing that can be seen


@dataclass
class Workshop:
    """What a forger has at hand.

    Args:
        rng: all draws come from it.
        composer: of the scene, with its fonts and habits.
        photographs: other photographs to splice from.
        camera: that took the photograph.
        picture: the photograph, uint8 (S, S, 3) RGB; forging changes it.
    """

    rng: np.random.Generator
    composer: Composer
    photographs: Sequence[Path]
    camera: Camera
    picture: np.ndarray | None = None

    @property
    def scene(self) -> Scene:
        """The scene that the photograph shows."""
        return self.composer.scene


def add_twin(workshop: Workshop, kind: str, model: SceneWord) -> list[SceneWord]:
    """Add a genuine text that looks like a forgery of this kind; its words, none without room."""
    for shrink in (1.0, 0.75, 0.55):
        height = max(LEAST_HEIGHT, shrink * min(model.height, 60.0))
        words = _TWINS[kind](workshop, model, height)
        if words:
            for word in words:
                word.kind = kind
            return words
    return []


def _repeated_word(workshop: Workshop, model: SceneWord, height: float) -> list[SceneWord]:
    draft = _place(workshop, [Line((model.text,), model.font)], model, height)
    if draft is None:
        return []
    surface = workshop.scene.clean[slices(clipped(region_of(draft.warp), workshop.scene.size))]
    readable = abs(luma(model.style.colour) - luma(surface.mean(axis=(0, 1)))) > _LEAST_CONTRAST
    style = _scaled(model.style, height / model.height) if readable else None
    return workshop.composer.write(draft, style=style)


def _sticker(workshop: Workshop, model: SceneWord, height: float) -> list[SceneWord]:
    rng, scene = workshop.rng, workshop.scene
    draft = _place(
        workshop, [Line((other_text(workshop, model),), model.font)], model, height, pad=0.4
    )
    if draft is None:
        return []
    region = clipped(region_of(draft.warp), scene.size)
    patch = foreign_surface(workshop, region)
    blend(scene.clean, patch, region, feather=pick(rng, (1, 2, 4)))
    _copy_region(scene.clean, scene.image, region)
    return workshop.composer.write(draft)


def _two_fonts(workshop: Workshop, model: SceneWord, height: float) -> list[SceneWord]:
    other = near_font(workshop, model)
    lines = [Line((model.text,), model.font), Line((other_text(workshop, model, other),), other)]
    draft = _place(workshop, lines, model, height)
    return workshop.composer.write(draft) if draft else []


def _flat_strip(workshop: Workshop, model: SceneWord, height: float) -> list[SceneWord]:
    rng, scene = workshop.rng, workshop.scene
    draft = _place(
        workshop, [Line((other_text(workshop, model),), model.font)], model, height, pad=0.15
    )
    if draft is None:
        return []
    surface = scene.clean[slices(clipped(region_of(draft.warp), scene.size))]
    colour = tuple(float(channel) for channel in surface.reshape(-1, 3).mean(axis=0))
    plain = Style(colour, colour, shading=between(rng, 0, 0.5), texture=0.0)
    scene.add_panel(
        rng, Panel("rectangle", plain, 0.0, plain, 0.0, between(rng, 0, 0.5)), draft.warp
    )
    return workshop.composer.write(draft)


def _soft_ground(workshop: Workshop, model: SceneWord, height: float) -> list[SceneWord]:
    rng, scene = workshop.rng, workshop.scene
    draft = _place(
        workshop, [Line((other_text(workshop, model),), model.font)], model, height, pad=0.3
    )
    if draft is None:
        return []
    region = clipped(region_of(draft.warp), scene.size)
    sigma, feather = between(rng, 2.0, 5.0), pick(rng, (2, 4, 6))
    blend(
        scene.clean, cv2.GaussianBlur(scene.clean[slices(region)], (0, 0), sigma), region, feather
    )
    _copy_region(scene.clean, scene.image, region)
    words = workshop.composer.write(draft)
    softened = cv2.GaussianBlur(scene.image[slices(region)], (0, 0), between(rng, 0.6, 1.2))
    blend(scene.image, softened, region, feather)
    return words


def _place(
    workshop: Workshop, lines: list[Line], model: SceneWord, height: float, pad: float = 0.0
) -> Draft | None:
    draft = workshop.composer.draft((model.script, lines), height, pad)
    return workshop.composer.place(draft, margin=4 + round(0.1 * height)) if draft else None


def _copy_region(source: np.ndarray, target: np.ndarray, region: Region) -> None:
    target[slices(region)] = source[slices(region)]


def _scaled(style: Style, factor: float) -> Style:
    if factor > 0.9:
        return style
    return (
        style.plain()
        if factor < 0.6
        else replace(style, outline=min(style.outline, 1), shadow=0.0, glow=0.0)
    )


def near_font(workshop: Workshop, word: SceneWord) -> str:
    return workshop.composer.fonts.near_face(workshop.rng, word.font, word.script).path


def other_text(workshop: Workshop, word: SceneWord, font: str | None = None) -> str:
    for _ in range(8):
        text = similar_word(workshop.rng, word.text, word.script)
        if text != word.text and covers(font or word.font, text):
            return text
    return word.text


def foreign_surface(workshop: Workshop, region: Region) -> np.ndarray:
    """A piece of another photograph of the region's size, with its own noise."""
    rng = workshop.rng
    side = max(region[2] - region[0], region[3] - region[1], 64)
    background = draw_background(rng, workshop.photographs, side)
    camera = draw_camera(rng, background.softness)
    seen = take(rng, background.pixels, camera)
    return seen[: region[3] - region[1], : region[2] - region[0]]


_TWINS = {
    "copy_move": _repeated_word,
    "splice": _sticker,
    "near_font": _two_fonts,
    "overwrite": _flat_strip,
    "smooth_patch": _soft_ground,
}
