"""Losses between two images."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from vectors import reference_input

from models import IMAGE_LOSSES
from models.image_losses import focal_frequency_loss, gradient_loss, ssim_loss


def images(name: str) -> torch.Tensor:
    return reference_input(name, (2, 3, 24, 40)).double()


@pytest.mark.parametrize("name", IMAGE_LOSSES)
def test_equal_images_have_no_loss_and_others_a_finite_gradient(name):
    loss, label = IMAGE_LOSSES[name], images("label")
    assert loss(label, label).item() == pytest.approx(0, abs=1e-12)
    for start in (label, images("output")):
        output = start.clone().requires_grad_()
        loss(output, label).backward()
        assert output.grad is not None
        assert output.grad.isfinite().all()
    assert loss(images("output"), label).item() > 0.01


def test_gradient_loss_ignores_brightness():
    label = images("label")
    assert gradient_loss(label + 0.3, label).item() == pytest.approx(0, abs=1e-12)
    ramp = torch.arange(40.0).expand(1, 3, 24, 40)
    assert gradient_loss(2 * ramp, ramp).item() == 1  # horizontally; vertically 0


def test_ssim_is_that_of_scikit_image():
    output, label = images("output"), images("label")
    expected = []
    for x, y in zip(output.numpy(), label.numpy(), strict=True):
        _, similarity = structural_similarity(
            x, y, win_size=5, data_range=1, channel_axis=0, full=True, use_sample_covariance=False
        )
        expected.append(similarity[:, 2:-2, 2:-2])
    assert ssim_loss(output, label).item() == pytest.approx(1 - np.mean(expected), abs=1e-9)


def test_focal_frequency_loss_counts_the_worst_frequency_in_full():
    label = torch.zeros(1, 1, 8, 8)
    wave = torch.cos(2 * torch.pi * torch.arange(8) / 8).expand(1, 1, 8, 8)
    # One pair of frequencies has all the error, so its weight is 1: the loss is the mean square.
    assert focal_frequency_loss(wave, label).item() == pytest.approx(0.5)
    # An error a tenth as large in another pair has a weight of a tenth.
    both = wave + 0.1 * wave.transpose(2, 3)
    assert focal_frequency_loss(both, label).item() == pytest.approx(0.5 + 0.5 * 0.1**3)
