"""The predictor: its promises about pictures, whatever the network has learnt."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_run import ROOT

from tasks import OFFICIAL_TASKS, UNCALIBRATED
from upocr import UPOCR
from upocr.picture import Picture


class Constant:
    """Answers every task with one grey."""

    tasks = OFFICIAL_TASKS
    image_size = 64
    verdict = UNCALIBRATED

    def __init__(self, grey: float) -> None:
        self.grey = grey

    def predict(self, images, tasks):
        return np.full((len(images), len(tasks), *images.shape[1:]), self.grey, np.float32)


def only(model: UPOCR, *tasks: str) -> UPOCR:
    """The model as if it had been trained on fewer tasks."""
    model.backend.tasks = tasks
    return model


def test_import_does_not_load_torch():
    command = "import sys, upocr; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("composite", [None, "segmentation", "difference"])
def test_removal_changes_text_and_nothing_else(painter, photo, composite):
    result = painter.remove_text(photo, composite=composite)
    text = (photo == (255, 0, 0)).all(axis=2)
    assert (result.image[text] == (0, 0, 255)).all()
    np.testing.assert_array_equal(result.image[result.mask == 0], photo[result.mask == 0])
    assert 500 < (result.mask > 0).sum() < 3000
    assert result.mask[text].min() == 255


@pytest.mark.parametrize("composite", ["segmentation", "difference"])
def test_photo_without_text_comes_back_unchanged(painter, photo, composite):
    photo = photo // 2
    np.testing.assert_array_equal(painter.remove_text(photo, composite=composite).image, photo)


def test_composite_is_the_segmentation_if_the_model_has_it(photo):
    """One grey differs from the input everywhere, but is no text."""
    both = UPOCR(Constant(0.3))
    np.testing.assert_array_equal(both.remove_text(photo).image, photo)
    removal = only(UPOCR(Constant(0.3)), "text_removal")
    assert (removal.remove_text(photo).mask[45, 70:80] == 255).all()
    with pytest.raises(ValueError, match="segmentation needs the task text_segmentation, the mode"):
        removal.remove_text(photo, composite="segmentation")


def test_region_box_and_mask(painter, photo):
    box = painter.remove_text(photo, region=(55, 35, 95, 55))
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[35:55, 55:95] = 255
    by_mask = painter.remove_text(photo, region=mask)
    np.testing.assert_array_equal(box.image, by_mask.image)
    assert (box.image[45, 70] == (0, 0, 255)).all()
    outside = mask == 0
    np.testing.assert_array_equal(box.image[outside], photo[outside])


def test_segmentation(painter, photo):
    result = painter.segment_text(photo)
    text = (photo == (255, 0, 0)).all(axis=2)
    np.testing.assert_array_equal(result.mask, text * 255)
    np.testing.assert_array_equal(result.probability, text * 255)


def test_threshold_of_pixels(photo):
    def is_text(grey: float, **options: float) -> bool:
        mask = UPOCR(Constant(grey)).segment_text(photo, decision="pixel", **options).mask
        assert mask.min() == mask.max()
        return mask.max() == 255

    assert not is_text(0.5, threshold=0.6)
    assert not is_text(0.5, threshold=0.5)
    assert is_text(0.5, threshold=0.49)
    assert not is_text(0.39)  # the default is 0.4
    assert is_text(0.41)


def test_segmentation_is_text_where_detection_agrees():
    class Doubtful(Constant):
        """Everything dark is segmented; detection finds black text alone."""

        def predict(self, images, tasks):
            dark, black = ((images[:, :1] < limit).astype(np.float32) for limit in (0.8, 0.2))
            answers = {
                "tampered_text_detection": np.concatenate([1 - black, black, 0 * black], axis=1),
                "text_segmentation": np.repeat(dark, 3, axis=1),
            }
            return np.stack([answers[name] for name in tasks], axis=1)

    image = np.full((64, 64, 3), 255, np.uint8)
    image[10:20, 10:50], image[40:50, 10:50] = 0, 90
    model = UPOCR(Doubtful(0))
    by_group, by_pixel = (
        model.segment_text(image, decision=decision).mask for decision in ("component", "pixel")
    )
    np.testing.assert_array_equal(by_pixel > 0, image[..., 0] < 255)
    np.testing.assert_array_equal(by_group > 0, image[..., 0] == 0)
    alone = only(model, "text_segmentation").segment_text(image)
    np.testing.assert_array_equal(alone.mask, by_pixel)


def test_detection_finds_the_blocks(painter, photo):
    result = painter.detect_tampering(photo)
    assert [region.box for region in result.regions] == [(60, 40, 90, 50), (20, 100, 40, 108)]
    assert [region.area for region in result.regions] == [300, 160]
    assert {region.label for region in result.regions} == {"tampered"}
    assert all(region.score == 1 for region in result.regions)
    assert result.regions[0].polygon == [(60, 40), (60, 49), (89, 49), (89, 40)]
    assert len(painter.detect_tampering(photo, min_area=161).regions) == 1


def test_16_bits_stay_where_nothing_is_erased(painter, photo):
    deep = photo.astype(np.uint16) * 257
    deep[painter.remove_text(photo).mask == 0] -= 3  # nothing that 8 bits could hold
    result = painter.remove_text(Picture("deep", deep))
    assert result.image.dtype == np.uint16
    np.testing.assert_array_equal(result.image[result.mask == 0], deep[result.mask == 0])
    erased = result.mask == 255
    assert erased.any()
    expected = painter.remove_text(photo).image[erased].astype(int) * 257
    assert np.abs(result.image[erased] - expected).max() < 257


def test_grey_and_alpha_pass_through(painter):
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90), np.uint8))
    np.testing.assert_array_equal(painter.remove_text(grey).picture.values, np.array(grey))
    rgba = Image.fromarray(np.random.default_rng(0).integers(0, 200, (70, 90, 4), np.uint8))
    result = painter.remove_text(rgba).picture
    np.testing.assert_array_equal(np.dstack([result.values, result.alpha]), np.array(rgba))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 31), (65, 130)])
def test_every_size_of_every_task_with_the_network(weights, size):
    model = UPOCR.from_pretrained(weights, "cpu")
    assert model.window == 64
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert model.remove_text(image).image.shape == image.shape
    assert model.segment_text(image).mask.shape == size
    assert model.detect_tampering(image).classes.shape == size


def test_resize_mode_sees_the_whole_picture_once(painter, photo):
    seen, predict = [], painter.backend.predict
    painter.backend.predict = lambda images, tasks: (
        seen.append(images.shape) or predict(images, tasks)
    )
    model = UPOCR(painter.backend, mode="resize", resize_side=96)
    assert model.segment_text(photo).mask.shape == (150, 200)
    assert seen == [(1, 3, 96, 96)]
    assert model.num_windows((150, 200)) == 1


def test_huge_letter_is_seen_as_a_whole():
    """In a window the inside of a huge letter is plain: only a smaller scale knows it for text."""

    class NeedsAnEdge(Constant):
        def predict(self, images, tasks):
            dark = (images < 0.5).astype(np.float32)
            has_edge = dark.min((1, 2, 3)) < dark.max((1, 2, 3))
            return np.stack([dark * has_edge[:, None, None, None]] * len(tasks), axis=1)

    image = np.full((512, 512, 3), 255, np.uint8)
    image[64:448, 192:320] = 0
    mask = UPOCR(NeedsAnEdge(0)).segment_text(image, decision="pixel").mask
    assert (mask[80:430, 208:304] == 255).all()
    assert (mask[:40] == 0).all()
    # Without the segmentation there is one scale only.
    alone = only(UPOCR(NeedsAnEdge(0)), "text_removal")
    assert alone.remove_text(image).image[256, 256].tolist() == [0] * 3
    assert alone.num_windows((512, 512)) < UPOCR(NeedsAnEdge(0)).num_windows((512, 512))


def test_classes_of_large_text_are_the_mean_of_two_sizes_and_removal_is_of_the_smaller():
    class TellsTheSize(Constant):
        """All that is dark is text: certain in the small picture, doubtful in the large one."""

        def predict(self, images, tasks):
            certainty = 1.0 if images.shape[-1] <= 128 else 0.5
            dark = (images < 0.5).astype(np.float32) * certainty
            return np.stack([dark] * len(tasks), axis=1)

    image = np.full((160, 160, 3), 255, np.uint8)
    image[40:120, 40:120] = image[140:150, 140:150] = 0
    image[60:100, 60:100] = 255
    results = UPOCR(TellsTheSize(0), window=160).run(image, decision="pixel")
    probability = results["text_segmentation"].probability
    assert probability[50, 80] == round(0.75 * 255)
    assert probability[145, 145] == round(0.5 * 255)
    assert results["text_removal"].image[50, 80].tolist() == [255] * 3


@pytest.mark.parametrize("mode", ["tile", "resize"])
def test_tasks_together_are_the_tasks_alone(weights, photo, mode):
    model = UPOCR.from_pretrained(weights, "cpu", mode=mode, resize_side=96)
    together = model.run(photo)
    assert list(together) == list(model.tasks) == list(OFFICIAL_TASKS)
    np.testing.assert_array_equal(together["text_removal"].image, model.remove_text(photo).image)
    alone = model.segment_text(photo)
    np.testing.assert_array_equal(together["text_segmentation"].probability, alone.probability)
    alone = model.detect_tampering(photo)
    np.testing.assert_array_equal(together["tampered_text_detection"].classes, alone.classes)


def test_the_encoder_sees_every_window_once_for_all_tasks(weights, photo):
    model = UPOCR.from_pretrained(weights, "cpu", batch_size=3)
    seen, done = [], []
    encoder = model.backend.network.encoder
    encoder.register_forward_hook(lambda *call: seen.append(len(call[1][0])))
    model.run(photo, progress=done.append)
    windows = model.num_windows(photo.shape[:2])
    assert sum(done) == windows
    assert sum(seen) == windows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["text_removal", "reading"]}, "was trained on text_removal, .*; not on reading"),
        ({"tasks": "text_removal"}, "tasks is 'text_removal', expected a list"),
        ({"tasks": []}, r"tasks is \[\], expected a list"),
        ({"composite": "guess"}, "unknown composite 'guess'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
    ],
)
def test_wrong_arguments_are_named(painter, photo, options, message):
    with pytest.raises(ValueError, match=message):
        painter.run(photo, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window is 0"),
        ({"window": 50}, "window is 50"),
        ({"mode": "guess"}, "unknown mode 'guess'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"mode": "resize", "resize_side": 100}, "resize_side is 100"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        UPOCR(Constant(0), **options)


def test_a_task_that_the_weights_do_not_know_is_refused(painter, photo):
    model = only(painter, "text_removal", "reading")
    expected = "the model was trained on text_removal, reading; not on text_segmentation"
    with pytest.raises(ValueError, match=expected):
        model.segment_text(photo)
    with pytest.raises(ValueError, match=r"module that registers 'reading' is missing"):
        model.run(photo)
    assert model.remove_text(photo).image.shape == photo.shape


def test_real_network_makes_no_seams(weights):
    """Steps across the middles of the ramps are no larger than steps elsewhere."""
    model = UPOCR.from_pretrained(weights, "cpu")
    gradient = np.linspace(0, 255, 160).astype(np.uint8)
    image = np.stack(np.broadcast_arrays(gradient[:, None], gradient, np.uint8(90)), axis=2)
    output = np.empty(image.shape, np.float32)
    for rows, columns, block in model._blocks(image, ["text_removal"], lambda count: None):
        output[rows, columns] = block
    steps = np.abs(np.diff(output, axis=1)).mean(axis=(0, 2))
    # Windows of 64 start at 0, 32, 64 and 96: they fade into each other over 40-56, 72-88, 104-120.
    ramps = np.r_[steps[40:55], steps[72:87], steps[104:119]]
    others = np.r_[steps[8:40], steps[56:72], steps[88:104], steps[120:152]]
    assert ramps.max() <= others.max()


def test_several_pictures_in_one_call_are_read_one_ahead(painter, photo):
    asked = []

    def pictures():
        for number in range(4):
            asked.append(number)
            yield photo[: 60 + 20 * number]

    found = painter.run_many(pictures(), ["text_removal"], dilation=2)
    assert asked == []
    for number, results in enumerate(found):
        expected = painter.run(photo[: 60 + 20 * number], ["text_removal"], dilation=2)
        image = results["text_removal"].image
        np.testing.assert_array_equal(image, expected["text_removal"].image)
        assert len(asked) <= number + 2
    assert asked == [0, 1, 2, 3]


def test_a_bad_picture_among_several_is_named(painter, photo, tmp_path):
    found = painter.run_many([photo, tmp_path / "none.png"])
    next(found)
    with pytest.raises(ValueError, match=r"none\.png: no such file"):
        next(found)
