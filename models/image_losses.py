"""Further losses between two images, for text removal where VGG16's weights are not at hand."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.registry import Registry

ImageLoss = Callable[[Tensor, Tensor], Tensor]  # output and label, (N, 3, H, W) each -> scalar

SSIM_WINDOW = 5  # pixels
SSIM_CONSTANTS = (0.01**2, 0.03**2)  # Wang et al. 2004, for values in [0, 1]

IMAGE_LOSSES: Registry[ImageLoss] = Registry("image loss")


@IMAGE_LOSSES.register("gradient")
def gradient_loss(output: Tensor, label: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbouring pixels, (N, 3, H, W) each."""
    error = output - label
    return sum((error.diff(dim=dim).abs().mean() for dim in (2, 3)), error.new_zeros(()))


@IMAGE_LOSSES.register("ssim")
def ssim_loss(output: Tensor, label: Tensor) -> Tensor:
    """1 - mean structural similarity in square windows of equal weights, (N, 3, H, W) each."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, SSIM_WINDOW, stride=1)

    first, second = SSIM_CONSTANTS
    mean_output, mean_label = mean(output), mean(label)
    product = mean_output * mean_label
    squares = mean_output**2 + mean_label**2
    covariance = mean(output * label) - product
    variances = mean(output**2 + label**2) - squares
    similarity = (2 * product + first) * (2 * covariance + second)
    return 1 - (similarity / ((squares + first) * (variances + second))).mean()


@IMAGE_LOSSES.register("focal_frequency")
def focal_frequency_loss(output: Tensor, label: Tensor) -> Tensor:
    """Squared error of the spectra, weighted by its own size; (N, 3, H, W) each.

    Jiang et al., ICCV 2021, with alpha 1 and one patch. Frequencies that are wrong count most.
    """
    error = torch.fft.fft2(output - label, norm="ortho")
    squared = error.real**2 + error.imag**2
    weight = squared.detach().sqrt()
    weight = weight / weight.amax(dim=(2, 3), keepdim=True).clamp(min=1e-12)
    return (weight * squared).mean()
