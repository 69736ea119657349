"""Metrics: a confusion matrix for pixel classes, image distances for text removal."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_erosion
from skimage.metrics import structural_similarity
from torch import Tensor

from utils import dist

PAPER_SIDE = 512
MAX_RATIO = 100  # of the sides; the protocol enlarges the shorter one to `PAPER_SIDE`
ERROR_THRESHOLD = 20  # grey levels; a pixel with a larger difference is an error (pEPs, pCEPs)
IDENTICAL_PSNR = 100.0  # dB, the maximum of the strict protocol
# Fine to coarse (Wang et al., Asilomar 2003).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SSIM_WINDOW = 11  # pixels
RESAMPLES = 2000  # bootstrap samples of a confidence interval
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def resamples(count: int) -> Tensor:
    """Indices of images drawn with replacement, (RESAMPLES, count) int64, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(count, (RESAMPLES, count), generator=generator)


def interval(figures: Sequence[float] | Tensor) -> list[float]:
    """95 % confidence interval (low, high) from the figures of all resamples (bootstrap)."""
    return np.quantile(np.asarray(figures), (0.025, 0.975)).tolist()


class ConfusionMatrix:
    """Pixel counts by true class (rows) and predicted class (columns) over a whole data set.

    Args:
        num_classes: number C of classes, 0 to C - 1.
        counts: (C, C) int64 to start with; by default zeros.
    """

    def __init__(self, num_classes: int, counts: Tensor | None = None) -> None:
        self.num_classes = num_classes
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.counts = zeros if counts is None else counts

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count the pixels of integer class maps of equal shape, on any device.

        Pixels whose target is not a class are ignored. Raises ValueError for different shapes and
        for a prediction that is not a class.
        """
        if prediction.shape != target.shape:
            shapes = tuple(prediction.shape), tuple(target.shape)
            raise ValueError(f"prediction has shape {shapes[0]}, its target {shapes[1]}")
        prediction, target = prediction.cpu().long(), target.cpu().long()
        if prediction.numel() and not 0 <= prediction.min() <= prediction.max() < self.num_classes:
            raise ValueError(f"a predicted class is not one of 0 to {self.num_classes - 1}")
        counted = (target >= 0) & (target < self.num_classes)
        pairs = self.num_classes * target[counted] + prediction[counted]
        self.counts += torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.counts)

    def reduce(self) -> Tensor:
        """Sum of the counts of all processes, (C, C) int64; `counts` keeps those of this one."""
        # Objects instead of all_reduce: NCCL cannot reach counts on the CPU.
        return torch.stack(dist.all_gather_objects(self.counts)).sum(dim=0)

    def compute(self) -> dict[str, list[float]]:
        """`precision`, `recall`, `f_score`, `iou` of each class over all processes, fractions 0-1.

        0 / 0 is 0: a class that occurs in neither map scores 0, never NaN.
        """
        counts = self.reduce().double()
        correct, predicted, true = counts.diagonal(), counts.sum(dim=0), counts.sum(dim=1)
        precision, recall = _ratio(correct, predicted), _ratio(correct, true)
        return {
            "precision": precision.tolist(),
            "recall": recall.tolist(),
            "f_score": _ratio(2 * precision * recall, precision + recall).tolist(),
            "iou": _ratio(correct, predicted + true - correct).tolist(),
        }


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator, 0.0)


def paper_metrics(image: np.ndarray, target: np.ndarray) -> dict[str, float] | None:
    """Text removal as published: `psnr`, `mssim`, `mse`, `age`, `peps`, `pceps`.

    image, target: uint8 (H, W, 3) RGB. PSNR in dB, AGE in grey levels 0-255, the others fractions
    0-1. Returns None if the two are identical after resizing: the protocol excludes such images
    from every average. Raises ValueError for sides of a ratio above `MAX_RATIO`.
    """
    image, target = _resize_short_side(image), _resize_short_side(target)
    mse = mean_squared_error(image, target)
    if mse == 0:
        return None
    luma, target_luma = _paper_luma(image), _paper_luma(target)
    difference = np.abs(luma - target_luma).round()
    wrong = difference > ERROR_THRESHOLD
    # Official: the counts are divided by 512 x 512, whatever the size of the image.
    pixels = PAPER_SIDE * PAPER_SIDE
    return {
        "psnr": -10 * math.log10(mse),
        "mssim": _paper_mssim(luma.astype(np.float64), target_luma.astype(np.float64)),
        "mse": mse,
        "age": float(difference.mean(dtype=np.float64)),
        "peps": float(wrong.sum() / pixels),
        "pceps": float(clustered(wrong).sum() / pixels),
    }


def strict_metrics(image: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Text removal at native size: `psnr`, `ms_ssim`, `ssim`, `mse`, `age`, `peps`, `pceps`.

    image, target: uint8 (H, W, 3) RGB. Units as in `paper_metrics`; error pixels are fractions of
    the image's own pixels; SSIM, AGE and the error pixels use unrounded luma. PSNR is at most 100
    dB, the value of identical images, to keep averages finite. Raises ValueError for a side below
    11 pixels, the window of SSIM.
    """
    mse = mean_squared_error(image, target)
    luma, target_luma = (_luma(array.astype(np.float64)) for array in (image, target))
    difference = np.abs(luma - target_luma)
    wrong = difference > ERROR_THRESHOLD
    return {
        "psnr": min(IDENTICAL_PSNR, -10 * math.log10(mse)) if mse else IDENTICAL_PSNR,
        "ms_ssim": multi_scale_ssim(luma, target_luma),
        "ssim": ssim(luma, target_luma),
        "mse": mse,
        "age": float(difference.mean()),
        "peps": float(wrong.mean()),
        "pceps": float(clustered(wrong).mean()),
    }


def mean_squared_error(image: np.ndarray, target: np.ndarray) -> float:
    """Mean squared difference of two uint8 images, on the scale of values 0-1."""
    # Official: a float32 mean, whose seventh digit depends on the number of threads. A sum of
    # integers is exact.
    difference = image.astype(np.int64) - target
    return float(np.square(difference).sum() / difference.size / 255**2)


def clustered(wrong: np.ndarray) -> np.ndarray:
    """Error pixels whose four neighbours are errors too, (H, W) bool; none on the border."""
    return binary_erosion(wrong)


def ssim(image: np.ndarray, target: np.ndarray, luminance_constant: float = 0.01) -> float:
    """Mean SSIM of two float64 luma planes (H, W), 0-255 (Wang et al., TIP 2004).

    Gaussian window of 11 taps with sigma 1.5, no padding. Raises ValueError for a side below 11
    pixels.
    """
    if min(image.shape) < SSIM_WINDOW:
        height, width = image.shape
        raise ValueError(f"{width} x {height} pixels, but SSIM needs {SSIM_WINDOW} per side")
    value = structural_similarity(
        image,
        target,
        gaussian_weights=True,  # sigma 1.5: 11 taps
        use_sample_covariance=False,
        data_range=255,
        K1=luminance_constant,
    )
    return float(value)


def contrast_structure(image: np.ndarray, target: np.ndarray) -> float:
    """Mean of SSIM without its luminance term; arguments and errors as in `ssim`."""
    # This constant makes the luminance term exactly 1 in float64.
    return ssim(image, target, luminance_constant=1e9)


def multi_scale_ssim(image: np.ndarray, target: np.ndarray) -> float:
    """Multi-scale SSIM (Wang et al., Asilomar 2003) of two float64 luma planes (H, W), 0-255.

    Five scales, each the 2 x 2 means of the previous one. An image with a side below 176 pixels has
    only the scales that hold the window of 11 pixels, with weights normalised to 1. A negative mean
    counts as 0, because it has no real power. Raises ValueError for a side below 11 pixels.
    """
    scales = sum(min(image.shape) >> scale >= SSIM_WINDOW for scale in range(len(SCALE_WEIGHTS)))
    weights = np.array(SCALE_WEIGHTS[: max(1, scales)])
    result = 1.0
    for scale, weight in enumerate(weights / weights.sum()):
        term = ssim if scale == len(weights) - 1 else contrast_structure
        result *= max(0.0, term(image, target)) ** weight
        image, target = _halve(image), _halve(target)
    return float(result)


def _halve(plane: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in plane.shape)  # drops an odd last row or column
    return plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))


def _paper_mssim(luma: np.ndarray, target: np.ndarray) -> float:
    # Official: the planes are never downsampled; all five scales have full resolution.
    fine = max(0.0, contrast_structure(luma, target)) ** sum(SCALE_WEIGHTS[:-1])
    return float(fine * max(0.0, ssim(luma, target)) ** SCALE_WEIGHTS[-1])


def _resize_short_side(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    short = min(height, width)
    if max(height, width) > MAX_RATIO * short:
        raise ValueError(
            f"{width} x {height} pixels: one side is more than {MAX_RATIO} times the other"
        )
    size = (PAPER_SIDE * width // short, PAPER_SIDE * height // short)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _luma(image: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(image, 2, 0)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue  # (H, W), in the units of the image


def _paper_luma(image: np.ndarray) -> np.ndarray:
    # Official: float32 of values 0-1, times 255; pixels near a rounding limit depend on this.
    return _luma(image.astype(np.float32) / np.float32(255)) * np.float32(255)
