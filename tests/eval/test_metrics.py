"""The numbers behind the evaluators: against the reference and independent computations."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.signal import convolve2d

from eval.metrics import (
    SCALE_WEIGHTS,
    ConfusionMatrix,
    clustered,
    contrast_structure,
    multi_scale_ssim,
    paper_metrics,
    ssim,
    strict_metrics,
)
from eval.text_removal.scores import STRICT, average_scores, score_pair

REFERENCE = Path(__file__).parents[1] / "reference"
REMOVAL = REFERENCE / "removal"
FIGURES = {"precision": "P", "recall": "R", "f_score": "F", "iou": "IoU"}
# The reference's MSE is a float32 mean, whose seventh digit changes with the number of threads.
TOLERANCE = {"mse": {"rel": 2e-7}, "psnr": {"abs": 1e-6}}
EXACT = {"rel": 1e-12}


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def noisy_pair(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 4 * math.pi, height * width * 3).reshape(height, width, 3)
    target = (127 + 100 * np.sin(ramp)).astype(np.uint8)
    noise = random.integers(-30, 31, target.shape)
    return np.clip(target + noise, 0, 255).astype(np.uint8), target


# --- confusion matrix


@pytest.mark.parametrize("num_classes", [2, 3])
def test_confusion_matrix_equals_reference(num_classes):
    with np.load(REFERENCE / "segmentation_metrics.npz") as reference:
        matrix = ConfusionMatrix(num_classes)
        for index in range(3):
            maps = (reference[f"n{num_classes}_{kind}{index}"] for kind in ("pred", "gt"))
            matrix.update(*map(torch.from_numpy, maps))
        assert matrix.counts.dtype == torch.int64
        assert np.array_equal(matrix.reduce().numpy(), reference[f"n{num_classes}_cm"])
        for figure, values in matrix.compute().items():
            expected = reference[f"n{num_classes}_{FIGURES[figure]}"]
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def test_targets_outside_the_classes_are_dropped():
    matrix = ConfusionMatrix(2)
    matrix.update(torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 1, 128, -1, 2]))
    assert matrix.counts.tolist() == [[1, 0], [0, 1]]


def test_confusion_matrix_rows_are_true_classes():
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([[2, 2]]), torch.tensor([[1, 1]]))
    assert matrix.counts[1, 2] == 2


def test_reduce_keeps_the_own_counts():
    matrix = ConfusionMatrix(2)
    matrix.update(torch.tensor([1]), torch.tensor([1]))
    matrix.reduce()
    assert matrix.reduce().sum() == 1


def test_absent_class_is_zero_and_never_nan():
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([0, 0]), torch.tensor([0, 0]))
    for values in matrix.compute().values():
        assert values == [1, 0, 0]
    assert all(values == [0, 0] for values in ConfusionMatrix(2).compute().values())


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [([0, 1], [0], "shape"), ([0, 2], [0, 1], "predicted class"), ([-1, 0], [0, 1], "predicted")],
)
def test_confusion_matrix_rejects(prediction, target, message):
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(2).update(torch.tensor(prediction), torch.tensor(target))


# --- the published protocol


def printed() -> dict[str, list[float]]:
    """What the reference printed: a value for each image but the identical, and the average."""
    text = (REMOVAL / "official_output.txt").read_text()
    names = {"psnr": "psnr", "mssim": "ssim", "age": "AGE", "peps": "pEPS", "pceps": "pCEPS"}
    number = r":\s+([\d.]+)"
    return {key: [float(x) for x in re.findall(name + number, text)] for key, name in names.items()}


@pytest.mark.parametrize("index", [0, 1, 2])
def test_paper_protocol_of_an_image_equals_the_printed(index):
    metrics = paper_metrics(*(read(REMOVAL / kind / f"{index}.png") for kind in ("pred", "gt")))
    for key, values in printed().items():
        assert metrics[key] == pytest.approx(values[index], **TOLERANCE.get(key, EXACT)), key
    assert f"tensor({metrics['mse']:.4f})" == "tensor(0.0006)"


def test_paper_protocol_averages_equal_the_printed():
    pairs = [[REMOVAL / kind / f"{index}.png" for kind in ("pred", "gt")] for index in range(4)]
    results = average_scores(score_pair(*pair) for pair in pairs)["paper"]
    for key, values in printed().items():
        assert results[key] == pytest.approx(values[3], **TOLERANCE.get(key, EXACT)), key
    assert results["mse"] == pytest.approx(0.0006082147204627594, **TOLERANCE["mse"])
    assert (results["num_images"], results["num_identical"]) == (3, 1)


def test_paper_protocol_resizes_the_short_side_and_divides_by_its_square():
    target = np.zeros((64, 128, 3), np.uint8)
    image = np.full_like(target, 51)
    metrics = paper_metrics(image, target)
    assert metrics["mse"] == pytest.approx(0.04)
    assert metrics["age"] == pytest.approx(51)
    assert metrics["peps"] == 2  # 512 x 1024 wrong pixels
    assert metrics["pceps"] == 510 * 1022 / 512**2


# --- the strict protocol


def test_strict_protocol_counts_with_the_own_pixels():
    target = np.zeros((20, 30, 3), np.uint8)
    image = target.copy()
    image[5:8, 10:13] = 100
    metrics = strict_metrics(image, target)
    assert metrics["mse"] == pytest.approx(9 / 600 * (100 / 255) ** 2)
    assert metrics["psnr"] == pytest.approx(-10 * math.log10(metrics["mse"]))
    assert metrics["age"] == pytest.approx(900 / 600)
    assert metrics["peps"] == pytest.approx(9 / 600)
    assert metrics["pceps"] == pytest.approx(1 / 600)


def test_identical_images_are_finite_in_strict_and_left_out_of_paper():
    image = noisy_pair(32, 32)[0]
    metrics = strict_metrics(image, image)
    assert metrics == {
        **{"psnr": 100, "ms_ssim": pytest.approx(1), "ssim": pytest.approx(1)},
        **{"mse": 0, "age": 0, "peps": 0, "pceps": 0},
    }
    assert paper_metrics(image, image) is None


def test_a_strip_that_the_protocol_would_enlarge_beyond_the_memory_is_refused():
    image = np.zeros((11, 1101, 3), np.uint8)
    with pytest.raises(ValueError, match=r"^1101 x 11 pixels: one side is more than 100 times"):
        paper_metrics(image, image)
    assert paper_metrics(image[:, :1100], image[:, :1100]) is None


def test_nearly_identical_images_are_no_better_than_identical():
    target = np.zeros((512, 512, 3), np.uint8)
    image = target.copy()
    image[0, 0, 0] = 1  # 107 dB
    assert strict_metrics(image, target)["psnr"] == 100


def test_averages_when_every_image_is_identical(tmp_path):
    path = tmp_path / "1.png"
    Image.fromarray(noisy_pair(32, 32)[0]).save(path)
    results = average_scores([score_pair(path, path)])
    assert (results["paper"]["num_images"], results["paper"]["num_identical"]) == (0, 1)
    assert results["paper"]["psnr"] is None
    assert (results["strict"]["num_images"], results["strict"]["psnr"]) == (1, 100)


def test_averages_do_not_depend_on_the_order():
    pairs = [noisy_pair(40, 40, seed) for seed in range(5)]
    scores = [{"paper": paper_metrics(*pair), "strict": strict_metrics(*pair)} for pair in pairs]
    assert (
        average_scores(scores)
        == average_scores(scores[::-1])
        == average_scores(scores[2:] + scores[:2])
    )


def test_interval_is_that_of_the_mean():
    values = [20.0 + (7 * n) % 100 / 10 for n in range(100)]  # deviation 2.89, mean 24.95
    scores = [{"paper": None, "strict": dict.fromkeys(STRICT, value)} for value in values]
    low, high = average_scores(scores)["strict"]["psnr_interval"]
    assert (low, high) == pytest.approx((24.95 - 1.96 * 0.289, 24.95 + 1.96 * 0.289), abs=0.05)


def test_clustered_needs_all_four_neighbours():
    wrong = np.zeros((6, 6), bool)
    wrong[1:4, 2] = wrong[2, 1:4] = True  # a cross
    wrong[:, 5] = wrong[5] = True  # a border
    assert np.argwhere(clustered(wrong)).tolist() == [[2, 2]]


def independent_terms(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """SSIM and its contrast-structure part by direct convolution (Wang et al., TIP 2004)."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2

    def mean(plane):
        return convolve2d(plane, window, mode="valid")

    mean_x, mean_y = mean(x), mean(y)
    contrast = 2 * (mean(x * y) - mean_x * mean_y) + (0.03 * 255) ** 2
    contrast /= mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2 + (0.03 * 255) ** 2
    c1 = (0.01 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * contrast).mean(), contrast.mean()


@pytest.mark.parametrize("shape", [(64, 80), (33, 47)])
def test_ssim_and_its_contrast_term_equal_direct_convolution(shape):
    x, y = (pair[..., 0].astype(float) for pair in noisy_pair(*shape))
    expected = independent_terms(x, y)
    assert ssim(x, y) == pytest.approx(expected[0], rel=1e-10)
    assert contrast_structure(x, y) == pytest.approx(expected[1], rel=1e-10)


def independent_multi_scale(x: np.ndarray, y: np.ndarray, scales: int) -> float:
    product, weights = 1.0, np.array(SCALE_WEIGHTS[:scales])
    for scale, weight in enumerate(weights / weights.sum()):
        product *= independent_terms(x, y)[0 if scale == scales - 1 else 1] ** weight
        x, y = (convolve2d(plane, np.ones((2, 2)) / 4, mode="valid")[::2, ::2] for plane in (x, y))
    return product


@pytest.mark.parametrize(
    ("shape", "scales"),
    [((176, 200), 5), ((181, 177), 5), ((175, 300), 4), ((43, 43), 2), ((21, 90), 1)],
)
def test_multi_scale_ssim_equals_an_independent_computation(shape, scales):
    x, y = (pair[..., 0].astype(float) for pair in noisy_pair(*shape))
    expected = independent_multi_scale(x, y, scales)
    assert multi_scale_ssim(x, y) == pytest.approx(expected, rel=1e-10)


def test_multi_scale_ssim_of_inverted_images_is_zero():
    x = noisy_pair(200, 200)[0][..., 0].astype(float)
    assert multi_scale_ssim(x, 255 - x) == 0


def test_ssim_needs_its_window():
    image = np.zeros((10, 60, 3), np.uint8)
    with pytest.raises(ValueError, match="60 x 10 pixels"):
        strict_metrics(image, image)
