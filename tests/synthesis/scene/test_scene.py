"""A scene: which words count as legible."""

import numpy as np
import pytest

from synthesis.photo.backgrounds import Background
from synthesis.sampling import generator
from synthesis.scene.composition import Composer, SceneOptions
from synthesis.scene.scene import SceneWord
from synthesis.scene.wording import Wording
from synthesis.text.fonts import FontBook
from synthesis.text.lettering import Style
from synthesis.text.typesetting import Line


def word_of(fonts: FontBook, height: float, contrast: float) -> SceneWord:
    """A word on a grey wall, `contrast` grey levels lighter."""
    wall = Background(np.full((256, 256, 3), 90, np.uint8), "grey", 0.0)
    composer = Composer(generator(1), wall, fonts, SceneOptions(upright=True))
    wording = Wording("latin", [Line(("EXIT",), fonts.faces[0].path)])
    text = composer.place(composer.fit(wording, height), margin=2)
    assert text
    colour = (90.0 + contrast,) * 3
    return composer.write(text, style=Style(colour, colour))[0]


@pytest.mark.parametrize(
    ("height", "contrast", "legible"),
    [(60, 6, True), (60, 2, False), (10, 6, False), (10, 40, True), (24, 10, True)],
)
def test_the_larger_the_letters_the_fainter_they_may_be(
    fonts: FontBook, height: float, contrast: float, legible: bool
):
    word = word_of(fonts, height, contrast)
    assert word.contrast == pytest.approx(contrast)
    assert word.legible == legible
