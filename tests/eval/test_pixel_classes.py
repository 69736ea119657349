"""Evaluation by pixel classes: any task with classes, and the arithmetic of its decoding."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from eval import EVALUATORS, EvaluationOptions, PixelClassEvaluator, build_evaluator, report
from eval.pixel_classes import class_numbers, resize_output
from tasks import (
    TAMPERED_TEXT_DETECTION,
    TASKS,
    TEXT_SEGMENTATION,
    PixelClass,
    Task,
    above_threshold,
)

SEALS = Task(
    "seal_segmentation",
    "Seal segmentation",
    classes=(PixelClass("paper", (0, 0, 0), None), PixelClass("seal", (200, 0, 0), (200, 0, 0))),
    decode=above_threshold,
    threshold=0.6,
)


@pytest.fixture
def seals():
    """A fourth task, registered as a module of a user does it."""
    TASKS.register(SEALS.name)(SEALS)

    @EVALUATORS.register(SEALS.name)
    class SealEvaluator(PixelClassEvaluator):
        task = SEALS

    yield
    del TASKS[SEALS.name], EVALUATORS[SEALS.name]


def test_a_fourth_task_is_scored_and_drawn(seals, tmp_path):
    evaluator = build_evaluator(SEALS.name, "letters", tmp_path, EvaluationOptions(visualize=True))
    label = np.zeros((2, 4, 3), np.uint8)
    label[:, :2], label[:, 3] = (200, 0, 0), 128  # seals; ignored
    output = torch.tensor([0.7, 0.5, 0.7, 0.7]).expand(1, 3, 2, 4)
    evaluator.update(output, [{"name": "a", "label": torch.from_numpy(label)}])
    results = evaluator.compute()
    assert results == {
        "protocol": "seal_segmentation_pixels",
        "num_images": 1,
        "mean_iou": pytest.approx(1 / 3),
        "mean_f_score": pytest.approx(1 / 2),
        "precision_seal": 0.5,
        "recall_seal": 0.5,
        "f_score_seal": 0.5,
        "iou_seal": pytest.approx(1 / 3),
    }
    assert evaluator.score(results) == results["mean_iou"]
    assert evaluator.headline() == {"IoU seal": "iou_seal", "mean IoU": "mean_iou"}
    assert report(SEALS.name, "letters", results) == [
        "letters          IoU seal 0.3333  mean IoU 0.3333  (1 image)",
        "                           iou     f_score   precision      recall",
        "    seal                0.3333      0.5000      0.5000      0.5000",
        "    mean                0.3333      0.5000           -           -",
    ]
    drawn = np.asarray(Image.open(tmp_path / "letters" / "a.png"))
    assert (drawn[0] == [(200, 0, 0), (0, 0, 0), (200, 0, 0), (200, 0, 0)]).all()


def test_the_threshold_of_the_options_comes_before_that_of_the_task(seals, tmp_path):
    evaluator = build_evaluator(SEALS.name, "x", tmp_path, EvaluationOptions(threshold=0.4))
    label = torch.tensor([[[200, 0, 0]]], dtype=torch.uint8)
    evaluator.update(torch.full((1, 3, 1, 1), 0.5), [{"name": "a", "label": label}])
    assert evaluator.compute()["recall_seal"] == 1


@pytest.mark.parametrize("steps", [None, 255, 5])
def test_decoding_equals_that_of_torch(steps):
    """Bit for bit: the figures of the reference are those of torch's float32 mean and argmax."""
    random = torch.Generator().manual_seed(0)
    for size in ((97, 143), (31, 64), (200, 1)):
        output = torch.rand(3, 64, 64, generator=random)
        output = output if steps is None else (output * steps).round() / steps  # ties
        resized = F.interpolate(output[None], size, mode="bilinear", align_corners=False)[0]
        array = resize_output(output, size)
        for threshold in (0.4, 0.5, resized.mean(dim=0)[0, 0].item()):
            text = TEXT_SEGMENTATION.classes_of(array, threshold)
            assert np.array_equal(text, resized.mean(dim=0) > threshold)
        classes = TAMPERED_TEXT_DETECTION.classes_of(array)
        assert np.array_equal(classes, resized.argmax(dim=0))


@pytest.mark.parametrize("task", [TAMPERED_TEXT_DETECTION, TEXT_SEGMENTATION])
def test_class_numbers_invert_the_class_picture(task):
    numbers = np.random.default_rng(0).integers(0, len(task.classes), (20, 30))
    assert np.array_equal(class_numbers(task.class_picture(numbers), task.classes), numbers)


def test_grey_labels_and_unknown_colours():
    label = np.uint8([[0, 255, 128, 1]])
    assert class_numbers(label, TEXT_SEGMENTATION.classes).tolist() == [[0, 1, -1, -1]]
