"""Evaluators on cases counted by hand, and the same figures for 1, 2 and 3 processes."""

import json

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from PIL import Image
from torch import Tensor

from eval import EvaluationOptions, build_evaluator, report
from tasks import TASKS
from utils import dist

SIDE = 32
VISUALIZE = EvaluationOptions(visualize=True)
# Segmentation, one row: text, background, ignored. Output text on the first 3 of 4 columns.
SEGMENTATION_LABEL = [[255, 255, 0, 0], [255, 128, 128, 0], [0, 0, 0, 0], [255, 255, 255, 255]]
RED, GREEN, BLUE = [255, 0, 0], [0, 255, 0], [0, 0, 255]


def flat_output(*colours: float) -> Tensor:
    return torch.tensor(colours, dtype=torch.float32)[:, None, None].expand(3, SIDE, SIDE)


def segmentation_sample(label: list, name: str = "1") -> dict:
    return {"name": name, "label": torch.tensor(label, dtype=torch.uint8)}


def pictures(folder) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))}


# --- text segmentation


def test_segmentation_counts_text_and_drops_ignored_pixels(tmp_path):
    evaluator = build_evaluator("text_segmentation", "TextSeg", tmp_path)
    output = torch.zeros(1, 3, 4, 4)
    output[..., :3] = 1
    evaluator.update(output, [segmentation_sample(SEGMENTATION_LABEL)])
    results = evaluator.compute()
    # 12 predicted pixels, 2 ignored; 7 true, of which the last of row 3 is missed: 6 right.
    assert results == {
        "protocol": "text_segmentation_pixels",
        "num_images": 1,
        "threshold": 0.4,
        "fg_iou": pytest.approx(6 / 11),
        "precision": pytest.approx(6 / 10),
        "recall": pytest.approx(6 / 7),
        "f_score": pytest.approx(12 / 17),
    }
    assert evaluator.score(results) == results["fg_iou"]
    assert not pictures(tmp_path)
    json.dumps(results)  # plain Python numbers
    assert report("text_segmentation", "TextSeg", results) == [
        "TextSeg          fgIoU 0.5455  F 0.7059  (1 image)",
        "                           iou     f_score   precision      recall",
        "    text                0.5455      0.7059      0.6000      0.8571",
    ]


def test_segmentation_pools_the_pixels_of_all_images(tmp_path):
    evaluator = build_evaluator("text_segmentation", "TextSeg", tmp_path)
    outputs = torch.stack([flat_output(1, 1, 1), flat_output(0, 0, 0), flat_output(0, 0, 0)])
    labels = [[[255]], [[255, 255], [0, 0]], [[0] * 5]]
    evaluator.update(outputs[:1], [segmentation_sample(labels[0])])
    evaluator.update(outputs[1:], [segmentation_sample(label) for label in labels[1:]])
    results = evaluator.compute()
    assert (results["num_images"], results["precision"]) == (3, 1)
    assert results["recall"] == results["fg_iou"] == pytest.approx(1 / 3)


def test_segmentation_without_any_text_is_zero(tmp_path):
    evaluator = build_evaluator("text_segmentation", "TextSeg", tmp_path)
    evaluator.update(flat_output(0, 0, 0)[None], [segmentation_sample([[0, 0], [128, 0]])])
    results = evaluator.compute()
    assert [results[key] for key in ("fg_iou", "precision", "recall", "f_score")] == [0, 0, 0, 0]


@pytest.mark.parametrize(("threshold", "expected"), [(0.4, 1), (0.41, 1), (0.43, 0)])
def test_segmentation_thresholds_the_channel_mean(tmp_path, threshold, expected):
    options = EvaluationOptions(threshold=threshold)
    evaluator = build_evaluator("text_segmentation", "T", tmp_path, options)
    evaluator.update(flat_output(0.9, 0.3, 0.06)[None], [segmentation_sample([[255]])])  # mean 0.42
    assert evaluator.compute()["recall"] == expected
    assert evaluator.compute()["threshold"] == threshold


def test_segmentation_resizes_to_a_larger_file_without_aligned_corners(tmp_path):
    evaluator = build_evaluator("text_segmentation", "TextSeg", tmp_path, VISUALIZE)
    output = torch.tensor([0.0, 1.0]).expand(3, 1, 2)  # 2 pixels to 8: 0 0 1/8 3/8 5/8 7/8 1 1
    evaluator.update(
        output[None], [segmentation_sample([[0, 0, 0, 0, 255, 255, 255, 255]] * 3, "a.v2")]
    )
    assert evaluator.compute()["fg_iou"] == 1
    written = pictures(tmp_path / "TextSeg")
    assert list(written) == ["a.v2.png"]
    assert written["a.v2.png"].tolist() == [[0, 0, 0, 0, 255, 255, 255, 255]] * 3


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_outside_the_scale_is_rejected(threshold):
    with pytest.raises(ValueError, match="threshold"):
        EvaluationOptions(threshold=threshold)


# --- tampered text detection


def test_detection_counts_genuine_and_tampered_text(tmp_path):
    evaluator = build_evaluator("tampered_text_detection", "Tampered-IC13", tmp_path, VISUALIZE)
    predicted = torch.tensor([[0, 1, 1, 2], [0, 0, 2, 2]])
    output = torch.nn.functional.one_hot(predicted, 3).permute(2, 0, 1).float() * 0.3
    label = torch.tensor([[RED, GREEN, BLUE, BLUE], [GREEN, RED, BLUE, RED]], dtype=torch.uint8)
    evaluator.update(output[None], [{"name": "100", "label": label}])
    results = evaluator.compute()
    expected = {
        "iou_genuine": 1 / 3,
        "precision_genuine": 1 / 2,
        "recall_genuine": 1 / 2,
        "f_score_genuine": 1 / 2,
        "iou_tampered": 2 / 4,
        "precision_tampered": 2 / 3,
        "recall_tampered": 2 / 3,
        "f_score_tampered": 2 / 3,
        "mean_iou": (1 / 3 + 1 / 2) / 2,
        "mean_f_score": (1 / 2 + 2 / 3) / 2,
    }
    assert results == {
        "protocol": "tampered_text_detection_pixels",
        "num_images": 1,
        **{key: pytest.approx(value) for key, value in expected.items()},
    }
    assert evaluator.score(results) == results["mean_iou"]
    colours = np.array([RED, GREEN, BLUE], np.uint8)
    assert np.array_equal(pictures(tmp_path / "Tampered-IC13")["100.png"], colours[predicted])


def test_detection_of_an_image_without_text_at_a_larger_size(tmp_path):
    evaluator = build_evaluator("tampered_text_detection", "Tampered-IC13", tmp_path)
    label = torch.tensor(RED, dtype=torch.uint8).expand(2 * SIDE + 1, SIDE, 3)
    evaluator.update(flat_output(0.5, 0.4, 0.4)[None], [{"name": "1", "label": label}])
    results = evaluator.compute()
    assert results["mean_iou"] == results["mean_f_score"] == 0
    assert evaluator.matrix.counts.tolist() == [[(2 * SIDE + 1) * SIDE, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert not pictures(tmp_path)


# --- text removal


def removal_sample(folder, name: str, size: tuple[int, int], label: bool = True) -> dict:
    path = folder / f"{name}.png"
    if label:
        random = np.random.default_rng(len(name))
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(path)
    return {"name": name, "size": size, "label_path": str(path) if label else None}


def test_removal_writes_outputs_at_the_size_of_the_file(tmp_path):
    evaluator = build_evaluator("text_removal", "SCUT-EnsText", tmp_path / "out")
    samples = [
        removal_sample(tmp_path, "img_1.v2", (48, 70)),
        removal_sample(tmp_path, "b", (SIDE, SIDE)),
    ]
    random = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    evaluator.update(torch.stack([flat_output(1, 0.5, 0), random]), samples)
    written = pictures(tmp_path / "out" / "SCUT-EnsText")
    assert list(written) == ["b.png", "img_1.v2.png"]
    assert written["img_1.v2.png"].shape == (48, 70, 3)
    assert np.unique(written["img_1.v2.png"].reshape(-1, 3), axis=0).tolist() == [[255, 128, 0]]
    exact = (255 * random).round().permute(1, 2, 0).numpy().astype(np.uint8)
    assert np.array_equal(written["b.png"], exact)


def test_removal_of_a_perfect_output(tmp_path):
    evaluator = build_evaluator("text_removal", "SCUT-EnsText", tmp_path / "out")
    sample = removal_sample(tmp_path, "1", (SIDE, SIDE))
    label = torch.from_numpy(np.array(Image.open(sample["label_path"]))).permute(2, 0, 1) / 255
    evaluator.update(label[None], [sample])
    results = evaluator.compute()
    assert (results["num_images"], results["strict"]["num_identical"]) == (1, 1)
    assert evaluator.score(results) == results["strict"]["psnr"] == 100
    json.dumps(results, allow_nan=False)


def test_removal_without_labels_only_counts(tmp_path):
    evaluator = build_evaluator("text_removal", "photos", tmp_path)
    sample = removal_sample(tmp_path, "1", (40, 50), label=False)
    evaluator.update(flat_output(0, 0, 0)[None], [sample])
    results = evaluator.compute()
    assert results == {"protocol": "text_removal_image_average", "num_images": 1}
    assert evaluator.score(results) is None
    assert list(pictures(tmp_path)) == ["1.png"]


def test_removal_names_a_label_of_another_size(tmp_path):
    evaluator = build_evaluator("text_removal", "SCUT-EnsText", tmp_path / "out")
    sample = removal_sample(tmp_path, "7", (40, 50)) | {"size": (50, 40)}
    with pytest.raises(ValueError, match=r"out/SCUT-EnsText/7.png: 40 x 50 .*/7.png has 50 x 40"):
        evaluator.update(flat_output(0, 0, 0)[None], [sample])


def test_removal_refuses_two_images_of_one_name(tmp_path):
    evaluator = build_evaluator("text_removal", "photos", tmp_path)
    samples = [removal_sample(tmp_path, "1", (40, 50), label=False)] * 2
    with pytest.raises(ValueError, match="two images are called 1"):
        evaluator.update(flat_output(0, 0, 0).expand(2, -1, -1, -1), samples)


# --- all tasks


def test_unknown_task(tmp_path):
    with pytest.raises(ValueError, match="unknown task 'ocr', expected one of tampered_text"):
        build_evaluator("ocr", "x", tmp_path)


@pytest.mark.parametrize("task", TASKS)
def test_a_process_without_images_still_computes(task, tmp_path):
    assert build_evaluator(task, "x", tmp_path).compute()["num_images"] == 0


def make_batch(folder, index: int) -> tuple[Tensor, dict]:
    """Output and sample number `index`, for every task; the same in every process."""
    random = np.random.default_rng(index)
    size = (40 + index, 50)
    output = torch.from_numpy(random.random((1, 3, SIDE, SIDE), np.float32))
    labels = {
        "text_segmentation": random.choice(np.array([0, 128, 255], np.uint8), size),
        "tampered_text_detection": np.array([RED, GREEN, BLUE], np.uint8)[
            random.integers(0, 3, size)
        ],
    }
    sample = {"name": str(index), "size": size, "label_path": str(folder / f"{index}.png")}
    return output, sample | {"labels": {task: torch.from_numpy(x) for task, x in labels.items()}}


def evaluate_shard(folder, output_dir, rank: int, world_size: int, num_images: int) -> dict:
    results = {}
    for task in TASKS:
        evaluator = build_evaluator(task, task, output_dir)
        for index in range(rank, num_images, world_size):
            output, sample = make_batch(folder, index)
            evaluator.update(output, [sample | {"label": sample["labels"].get(task)}])
        results[task] = evaluator.compute()
    return results


def evaluate_in_process(rank: int, folder, world_size: int, num_images: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store{world_size}", rank=rank, world_size=world_size
    )
    results = evaluate_shard(folder, folder / f"out{world_size}", rank, world_size, num_images)
    (folder / f"{world_size}_{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [2, 3])
def test_results_are_identical_for_several_processes(tmp_path, world_size):
    num_images = 5  # neither 2 nor 3 divides it
    for index in range(num_images):
        random = np.random.default_rng(100 + index)
        label = random.integers(0, 256, (40 + index, 50, 3), np.uint8)
        Image.fromarray(label).save(tmp_path / f"{index}.png")
    expected = evaluate_shard(tmp_path, tmp_path / "out", 0, 1, num_images)
    assert {results["num_images"] for results in expected.values()} == {num_images}
    torch.multiprocessing.spawn(
        evaluate_in_process, (tmp_path, world_size, num_images), nprocs=world_size
    )
    for rank in range(world_size):
        assert json.loads((tmp_path / f"{world_size}_{rank}.json").read_text()) == expected
