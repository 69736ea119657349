"""Every kind of forgery changes its box only and has a genuine lookalike."""

import numpy as np
import pytest

from synthesis.forgery.context import ForgeryContext
from synthesis.forgery.lookalikes import add_lookalike
from synthesis.forgery.tampering import FORGERS, forge
from synthesis.photo.backgrounds import Background
from synthesis.photo.camera import draw_camera
from synthesis.samples import SampleSource
from synthesis.sampling import generator
from synthesis.scene.composition import Composer, SceneOptions


@pytest.mark.parametrize("kind", FORGERS)
def test_every_kind_forges_and_has_a_lookalike(kind: str, source: SampleSource):
    rng = generator(11)
    wall = Background(np.full((512, 512, 3), 150, dtype=np.uint8), "wall", 0)
    options = SceneOptions(upright=True, min_height=14)
    composer = Composer(rng, wall, source.fonts, options)
    camera, image = draw_camera(rng), composer.scene.image
    context = ForgeryContext(rng, composer, source.photographs, camera, 12.0, image)
    while not (words := [word for word in composer.scene.words if context.can_forge(word)]):
        composer.add_bare_text()
    word = words[0]
    lookalike = add_lookalike(context, kind, word)
    assert lookalike
    assert all(member.imitates == kind for member in lookalike)
    assert not any(context.can_forge(member) for member in lookalike)
    before = composer.scene.image
    context.picture = before.copy()
    forgery = forge(context, kind, word)
    x1, y1, x2, y2 = forgery.box
    changed = (before != context.picture).any(axis=2)
    assert changed.any()
    changed[y1 : y2 + 1, x1 : x2 + 1] = False
    assert not changed.any()
