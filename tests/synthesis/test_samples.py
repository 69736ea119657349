"""Labels are exact: what a label does not cover has not changed, and what it covers has."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from synthesis.forgery.lookalikes import Workshop, add_twin
from synthesis.forgery.tampering import FORGERS, can_be_forged, forge
from synthesis.photo.backgrounds import Background
from synthesis.photo.camera import draw_camera, expose
from synthesis.photo.postprocess import Development
from synthesis.samples import (
    DetectionSample,
    Materials,
    Mix,
    detection_sample,
    removal_sample,
    segmentation_label,
    segmentation_sample,
)
from synthesis.sampling import generator
from synthesis.scene.composition import Composer, Habits
from synthesis.scene.scene import GENUINE, GLYPH_COVERAGE, TAMPERED, Scene, through_lens

SEEDS = range(8)


@pytest.fixture(scope="session")
def scene_of(materials: Materials) -> Callable[..., Scene]:
    """A function that composes the scene of a seed with the habits of a task.

    With `legible` texts are added until a word of the scene can be read.
    """

    def compose(seed: int, habits: Habits, legible: bool = False) -> Scene:
        rng = generator(seed)
        composer = Composer(rng, materials.background(rng), materials.fonts, habits)
        scene = composer.compose()
        while legible and not any(word.legible for word in scene.words):
            composer.add_bare_text()
        return scene

    return compose


@pytest.mark.parametrize("seed", SEEDS)
def test_pair_is_equal_outside_the_mask(seed: int, materials: Materials):
    sample = removal_sample(generator(seed), materials)
    background = sample.mask == 255
    assert (sample.image[background] == sample.label[background]).all()
    assert set(np.unique(sample.mask)) <= {0, 255}


@pytest.mark.parametrize("seed", SEEDS)
def test_text_is_gone_from_the_label(seed: int, materials: Materials):
    sample = removal_sample(generator(seed), materials)
    changed = (sample.image != sample.label).any(axis=2)
    assert bool(sample.record["words"]) == bool(changed.any())


@pytest.mark.parametrize("seed", SEEDS)
def test_mask_covers_every_word(seed: int, materials: Materials):
    sample = removal_sample(generator(seed), materials)
    for word in sample.record["words"]:
        x1, y1, x2, y2 = word["box"]
        assert (sample.mask[y1 : y2 + 1, x1 : x2 + 1] == 0).mean() > 0.1  # words may be slanted
    assert (sample.mask[(sample.image != sample.label).any(axis=2)] == 0).all()
    assert (sample.mask == 0).any() == bool(sample.record["words"])


@pytest.mark.parametrize("seed", SEEDS)
def test_label_covers_what_the_text_has_changed(seed: int, scene_of: Callable[..., Scene]):
    scene = scene_of(seed, Habits(illegible=0.2, empty=0), legible=True)
    changed = (scene.clean != scene.image).any(axis=2)
    assert (np.maximum(scene.ink, scene.effects)[changed] > 0).all()
    camera = replace(draw_camera(generator(seed)), defocus=0.5, motion=(0.0, 0.0))
    label = segmentation_label(scene, camera)
    clean, image = through_lens(scene, camera, label != 0)
    assert (clean == image)[label == 0].all()
    # All but the faintest rim of what changed is labelled, so forcing it equal has hidden nothing.
    strong = cv2.absdiff(scene.clean, scene.image).max(axis=2) > 24
    assert (label[strong] != 0).mean() > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_letters_are_where_the_ink_is(seed: int, scene_of: Callable[..., Scene]):
    scene = scene_of(seed, Habits(empty=0))
    for word in scene.words:
        word.legible = True
    label = segmentation_label(scene, draw_camera(generator(seed)))
    assert ((label == 100) == (scene.ink >= GLYPH_COVERAGE * 255)).all()
    assert set(np.unique(label)) <= {0, 100, 200}


def test_illegible_words_are_ignored_as_a_whole(scene_of: Callable[..., Scene]):
    scene = scene_of(3, Habits(empty=0))
    word = scene.words[0]
    word.legible = False
    label = segmentation_label(scene, draw_camera(generator(3)))
    assert (label[scene.word_mask([word], margin=1)] == 255).all()


@pytest.fixture(scope="session")
def detection(materials: Materials) -> Callable[[int], DetectionSample]:
    """A function that makes the sample of a seed at about the size of the real data set."""
    return cache(lambda seed: detection_sample(generator(seed), replace(materials, size=512)))


@pytest.mark.parametrize("seed", SEEDS)
def test_tampered_pixels_lie_in_tampered_boxes(
    seed: int, detection: Callable[[int], DetectionSample]
):
    sample = detection(seed)
    painted = np.zeros(sample.image.shape[:2], dtype=int)
    for box in sample.boxes:  # in file order, as the data set paints them
        x1, y1, x2, y2 = box.corners
        painted[y1 : y2 + 1, x1 : x2 + 1] = box.label
    changed = (sample.image != sample.before).any(axis=2)
    assert (painted[changed] == TAMPERED).all()
    assert changed.any() == any(box.label == TAMPERED for box in sample.boxes)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_box_is_empty_or_outside(seed: int, detection: Callable[[int], DetectionSample]):
    for box in detection(seed).boxes:
        x1, y1, x2, y2 = box.corners
        assert 0 <= x1 < x2 < 512
        assert 0 <= y1 < y2 < 512


@pytest.mark.parametrize("seed", SEEDS)
def test_every_forgery_has_a_genuine_twin(seed: int, detection: Callable[[int], DetectionSample]):
    record = detection(seed).record
    twins = {word.get("twin_of") for word in record["words"]}
    assert {forgery["kind"] for forgery in record["forgeries"]} <= twins


@pytest.mark.parametrize("kind", FORGERS)
def test_every_kind_forges_and_has_a_twin(kind: str, materials: Materials):
    rng = generator(11)
    grey = np.full((512, 512, 3), 150, dtype=np.uint8)
    composer = Composer(
        rng, Background(grey, "wall", 0), materials.fonts, Habits(upright=True, least_height=14)
    )
    while not any(can_be_forged(word) for word in composer.scene.words):
        composer.add_bare_text()
    word = next(word for word in composer.scene.words if can_be_forged(word))
    workshop = Workshop(rng, composer, materials.photographs, draw_camera(rng))
    twin = add_twin(workshop, kind, word)
    assert twin
    assert all(member.label == GENUINE and member.kind == kind for member in twin)
    assert not any(can_be_forged(member) for member in twin)
    before = composer.scene.image
    workshop.picture = before.copy()
    forgery = forge(workshop, kind, word)
    x1, y1, x2, y2 = forgery.box
    changed = (before != workshop.picture).any(axis=2)
    assert changed.any()
    changed[y1 : y2 + 1, x1 : x2 + 1] = False
    assert not changed.any()


def test_words_run_around_round_signs_unless_upright(scene_of: Callable[..., Scene]):
    words = [word for seed in range(60) for word in scene_of(seed, Habits(empty=0)).words]
    around = [word for word in words if abs(word.block_warp.bend.amount) > 2.7]
    assert around
    for word in around:
        assert word.polygon.min() >= 0
        assert word.polygon.max() <= 256
    straight = [scene_of(seed, Habits(upright=True, empty=0)).words for seed in range(20)]
    assert {word.block_warp.bend.kind for words in straight for word in words} == {"none"}


def test_scenes_without_text_occur(scene_of: Callable[..., Scene]):
    empty = [not scene_of(seed, Habits(empty=0.5)).words for seed in range(6)]
    assert any(empty)
    assert not all(empty)


def test_honest_photographs_show_the_same_words_without_a_forgery(materials: Materials):
    forging = replace(materials, mix=Mix(honest=0.0))
    honest = replace(materials, mix=Mix(honest=1.0))
    for seed in SEEDS:
        plain = detection_sample(generator(seed), honest)
        assert not plain.record["forgeries"]
        assert (plain.image == plain.before).all()
        assert (plain.before == detection_sample(generator(seed), forging).before).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_development_is_drawn_for_pictures_without_a_forgery_only(seed: int, materials: Materials):
    mix = Mix(honest=0.0, developed=1.0)
    forged = detection_sample(generator(seed), replace(materials, mix=mix))
    plain = detection_sample(generator(seed), replace(materials, mix=replace(mix, developed=0)))
    assert (forged.image == plain.image).all()
    honest = replace(mix, honest=1.0)
    developed = detection_sample(generator(seed), replace(materials, mix=honest))
    assert (developed.image == developed.before).all()
    assert (developed.image != plain.before).any()
    assert [box for box in developed.boxes if box.label == TAMPERED] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_developed_pairs_are_equal_outside_the_mask(seed: int, materials: Materials):
    sample = removal_sample(generator(seed), replace(materials, mix=Mix(developed=1.0)))
    assert (sample.image == sample.label)[sample.mask == 255].all()


def test_development_smooths_noise_and_sharpens_edges():
    rng = generator(0)
    noise = (128 + 4 * rng.standard_normal((64, 64, 3))).astype(np.uint8)
    assert Development(denoising=20).apply(noise).std() < 0.5 * noise.std()
    edge = np.full((64, 64, 3), 60, np.uint8)
    edge[:, 32:] = 180
    edge = cv2.GaussianBlur(edge, (0, 0), 1.5)
    steps = [
        np.diff(picture[32, :, 0].astype(int)).max()
        for picture in (edge, Development(sharpening=1.0, radius=1.5).apply(edge))
    ]
    assert steps[1] > 1.3 * steps[0]


def test_the_record_names_the_camera_and_the_development_that_were_at_work(materials: Materials):
    mix = Mix(honest=1.0, developed=1.0)
    for make in (removal_sample, segmentation_sample, detection_sample):
        found = []
        for seed in range(12):
            record = make(generator(seed), replace(materials, mix=mix)).record
            found.append(record["development"]["graphic"])
            assert (record["camera"]["read_noise"] == 0) == record["development"]["graphic"]
        assert any(found)
        assert not all(found)


def test_a_graphic_has_no_noise():
    camera = Development(graphic=True).adapted(draw_camera(generator(0)))
    flat = np.full((32, 32, 3), 90, np.uint8)
    assert (expose(generator(1), [flat], camera)[0] == flat).all()
