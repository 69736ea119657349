"""Labels are exact: nothing changes outside a label, and everything inside it has changed."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from synthesis.forgery.planning import FORGED_WORDS, RETEXTURE
from synthesis.photo.camera import draw_camera
from synthesis.samples import (
    GENUINE,
    GLYPH,
    ILLEGIBLE,
    TAMPERED,
    DetectionSample,
    SampleSource,
    detection_sample,
    removal_sample,
    segmentation_label,
    segmentation_sample,
)
from synthesis.sampling import generator
from synthesis.scene.composition import SceneOptions
from synthesis.scene.scene import GLYPH_COVERAGE, Scene, through_lens

SEEDS = range(8)
_REACH = 32  # pixels: two blocks of JPEG with halved chroma


@pytest.mark.parametrize("seed", SEEDS)
def test_the_pair_is_equal_outside_the_mask(seed: int, source: SampleSource):
    sample = removal_sample(generator(seed), source)
    background = sample.mask == 255
    assert (sample.image[background] == sample.label[background]).all()
    assert set(np.unique(sample.mask)) <= {0, 255}


@pytest.mark.parametrize("seed", SEEDS)
def test_text_is_gone_from_the_label(seed: int, source: SampleSource):
    sample = removal_sample(generator(seed), source)
    changed = (sample.image != sample.label).any(axis=2)
    assert bool(sample.record["words"]) == bool(changed.any())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mask_covers_every_word(seed: int, source: SampleSource):
    sample = removal_sample(generator(seed), source)
    for word in sample.record["words"]:
        x1, y1, x2, y2 = word["box"]
        assert (sample.mask[y1 : y2 + 1, x1 : x2 + 1] == 0).mean() > 0.1  # words may be slanted
    assert (sample.mask[(sample.image != sample.label).any(axis=2)] == 0).all()
    assert (sample.mask == 0).any() == bool(sample.record["words"])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_label_covers_what_the_text_has_changed(seed: int, scene_of: Callable[..., Scene]):
    scene = scene_of(seed, SceneOptions(illegible=0.2), legible=True)
    changed = (scene.clean != scene.image).any(axis=2)
    assert (np.maximum(scene.ink, scene.effects)[changed] > 0).all()
    camera = replace(draw_camera(generator(seed)), defocus=0.5, motion=(0.0, 0.0))
    label = segmentation_label(scene, camera)
    clean, image = through_lens(scene, camera, label != 0)
    assert (clean == image)[label == 0].all()
    # All but the faintest rim of the change is labelled, so forcing it equal has hidden nothing.
    strong = cv2.absdiff(scene.clean, scene.image).max(axis=2) > 24
    assert (label[strong] != 0).mean() > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_letters_are_where_the_ink_is(seed: int, scene_of: Callable[..., Scene]):
    scene = scene_of(seed, SceneOptions())
    for word in scene.words:
        word.legible = True
    label = segmentation_label(scene, draw_camera(generator(seed)))
    assert ((label == GLYPH) == (scene.ink >= GLYPH_COVERAGE * 255)).all()
    assert set(np.unique(label)) <= {0, 100, 200}


@pytest.mark.parametrize("make", [removal_sample, segmentation_sample, detection_sample])
def test_a_share_of_the_pictures_shows_no_text(make: Callable[..., Any], source: SampleSource):
    assert not make(generator(0), replace(source, text_free=1.0)).record["words"]
    assert make(generator(0), replace(source, text_free=0.0)).record["words"]


def test_no_text_is_fainter_than_asked(source: SampleSource):
    def contrasts(**options: float) -> list[float]:
        samples = [removal_sample(generator(n), replace(source, **options)) for n in range(12)]
        return [word["contrast"] for each in samples for word in each.record["words"]]

    assert min(contrasts()) < 30
    assert min(contrasts(min_contrast=100)) > 50  # translucent paint shows half of it


def test_illegible_words_are_ignored_as_a_whole(scene_of: Callable[..., Scene]):
    scene = scene_of(3, SceneOptions())
    word = scene.words[0]
    word.legible = False
    label = segmentation_label(scene, draw_camera(generator(3)))
    assert (label[scene.word_mask([word], margin=1)] == ILLEGIBLE).all()


@pytest.fixture(scope="session")
def detection(source: SampleSource) -> Callable[[int], DetectionSample]:
    """A function that makes the sample of a seed at about the size of the genuine data set."""
    return cache(lambda seed: detection_sample(generator(seed), replace(source, size=512)))


@pytest.mark.parametrize("seed", SEEDS)
def test_tampered_pixels_lie_in_tampered_boxes(
    seed: int, detection: Callable[[int], DetectionSample]
):
    sample = detection(seed)
    painted = np.zeros(sample.image.shape[:2], np.uint8)
    for x1, y1, x2, y2, label in sample.boxes:  # in file order, as the data set paints them
        painted[y1 : y2 + 1, x1 : x2 + 1] = label
    changed = (sample.image != sample.before).any(axis=2)
    assert changed.any() == any(box[-1] == TAMPERED for box in sample.boxes)
    # JPEG, resizing and sharpening of the whole picture spread a change, never far.
    reach = np.ones((2 * _REACH + 1,) * 2, np.uint8)
    assert cv2.dilate((painted == TAMPERED).astype(np.uint8), reach)[changed].all()
    strong = cv2.absdiff(sample.image, sample.before).max(axis=2) > 40
    near = cv2.dilate((painted == TAMPERED).astype(np.uint8), np.ones((9, 9), np.uint8))
    assert near[strong].all()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_box_is_empty_or_outside(seed: int, detection: Callable[[int], DetectionSample]):
    for x1, y1, x2, y2, _ in detection(seed).boxes:
        assert 0 <= x1 < x2 < 512
        assert 0 <= y1 < y2 < 512


@pytest.mark.parametrize("seed", SEEDS)
def test_every_forgery_has_a_genuine_lookalike(
    seed: int, detection: Callable[[int], DetectionSample]
):
    record = detection(seed).record
    imitated = {word.get("lookalike_of") for word in record["words"]} | {RETEXTURE}
    assert {forgery["kind"] for forgery in record["forgeries"]} <= imitated


@pytest.mark.parametrize("seed", SEEDS)
def test_genuine_and_forged_words_stand_side_by_side(
    seed: int, detection: Callable[[int], DetectionSample]
):
    record = detection(seed).record
    others = [word for word in record["words"] if "lookalike_of" not in word]
    replacing = [forgery for forgery in record["forgeries"] if forgery["replaced"]]
    assert len(replacing) <= FORGED_WORDS[1] * (len(others) + len(replacing)) + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_words_that_cannot_be_read_have_no_box(
    seed: int, detection: Callable[[int], DetectionSample]
):
    sample = detection(seed)
    assert all(word["legible"] for word in sample.record["words"])
    boxes = [tuple(word["box"]) for word in sample.record["words"]]
    assert boxes == [box[:4] for box in sample.boxes if box[-1] == GENUINE]


@pytest.mark.parametrize("seed", SEEDS)
def test_small_words_stay_genuine(seed: int, source: SampleSource):
    sample = detection_sample(generator(seed), replace(source, pages=1.0, untampered=0.0))
    for x1, y1, x2, y2, label in sample.boxes:
        assert label != TAMPERED or max(x2 - x1, y2 - y1) > 14


def test_untampered_photographs_show_the_same_words_without_a_forgery(source: SampleSource):
    forging = replace(source, untampered=0.0)
    untampered = replace(source, untampered=1.0)
    for seed in SEEDS:
        plain = detection_sample(generator(seed), untampered)
        assert not plain.record["forgeries"]
        assert (plain.image == plain.before).all()
        assert (plain.before == detection_sample(generator(seed), forging).before).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_forged_or_not_the_whole_picture_is_processed_alike(seed: int, source: SampleSource):
    def sample(untampered: float) -> DetectionSample:
        shares = replace(source, untampered=untampered, postprocessed=1.0)
        return detection_sample(generator(seed), shares)

    forged, untampered = sample(0.0), sample(1.0)
    assert forged.record["postprocess"] == untampered.record["postprocess"]
    assert forged.record["final_jpeg_quality"] == untampered.record["final_jpeg_quality"]
    assert (forged.before == untampered.image).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_postprocessed_pairs_are_equal_outside_the_mask(seed: int, source: SampleSource):
    sample = removal_sample(generator(seed), replace(source, postprocessed=1.0))
    assert (sample.image == sample.label)[sample.mask == 255].all()


def test_the_record_names_the_camera_and_the_postprocess_at_work(source: SampleSource):
    source = replace(source, untampered=1.0, postprocessed=1.0)
    for make in (removal_sample, segmentation_sample, detection_sample):
        graphic = []
        for seed in range(12):
            record = make(generator(seed), source).record
            graphic.append(record["postprocess"]["graphic"])
            assert (record["camera"]["read_noise"] == 0) == graphic[-1]
        assert any(graphic)
        assert not all(graphic)
