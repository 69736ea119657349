"""Losses, gradients and five optimizer steps against numbers of the authors' implementation."""

import json

import pytest
import torch
from torch import Tensor
from vectors import REFERENCE, TINY, fill_by_name, reference_input

from engine import train_one_epoch
from models import build_criterion, build_upocr
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS
from utils.batch import Batch
from utils.logger import StepLog
from utils.optim import build_optimizer

pytestmark = pytest.mark.slow  # five steps in float64

CPU = torch.device("cpu")
BATCH_TASKS = [task for task in OFFICIAL_TASKS for _ in range(2)]
# Reference name -> our unweighted term and the factor between them.
TERMS = {
    "text removal/MSR_loss": ("text_removal/msr", 1.0),
    "text removal/prc_loss": ("text_removal/perceptual", 0.01),
    "text removal/style_loss": ("text_removal/style", 120.0),
    "text segmentation/l1_loss": ("text_segmentation/smooth_l1", 1.0),
    "text segmentation/pos_loss": ("text_segmentation/positive", 1.0),
    "text segmentation/neg_loss": ("text_segmentation/negative", 1.0),
    "tampered text detection/l1_loss": ("tampered_text_detection/smooth_l1", 1.0),
}


class UnitBatch(Batch):
    """A batch whose pixels are in [0, 1] already."""

    def to(self, device: torch.device) -> Batch:
        return self


def training_batch(dtype: torch.dtype) -> Batch:
    """The batch that tests/reference/README.md describes."""
    ignored = torch.tensor(128 / 255, dtype=dtype)
    classes = reference_input("train_ttd", (2, 3, 128, 128)).argmax(1)
    detection = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).to(dtype)
    detection[:, :, :16, :16] = ignored
    segmentation = (
        (reference_input("train_seg", (2, 1, 128, 128)) > 0.6).to(dtype).repeat(1, 3, 1, 1)
    )
    segmentation[:, :, -16:] = ignored
    removal = reference_input("train_removal", (2, 3, 128, 128)).to(dtype)
    mask = (reference_input("train_mask", (2, 1, 128, 128)) > 0.3).to(dtype)
    return UnitBatch(
        images=reference_input("train_images", (6, 3, 128, 128)).to(dtype),
        labels=torch.cat((removal, detection, segmentation)),
        masks=torch.cat((mask, torch.ones(4, 1, 128, 128, dtype=dtype))),
        tasks=BATCH_TASKS,
        names=BATCH_TASKS,
    )


def run_steps(dtype: torch.dtype, steps: int) -> dict:
    model = build_upocr("upocr", **TINY)
    fill_by_name(model)
    vgg16 = VGG16Features()
    fill_by_name(vgg16, prefix="vgg16.")
    model.to(dtype).train()
    criterion = build_criterion(OFFICIAL_TASKS, vgg16).to(dtype)
    optimizer = build_optimizer(model, lr=5e-4, lr_encoder_ratio=0.1, weight_decay=1e-4)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    batch = training_batch(dtype)
    history: list[dict[str, float]] = []
    gradient_norms: dict[str, float] = {}
    for _ in range(steps):
        losses = train_one_epoch(
            model,
            criterion,
            iter([batch]),
            optimizer,
            scaler,
            StepLog(0, 1, 1, 1, optimizer, CPU),
            device=CPU,
            amp_dtype=None,
            clip_max_norm=0.1,
        )
        if not history:
            scale = max(1.0, losses["grad_norm"] / 0.1)  # undo the clipping
            gradient_norms = {n: _norm(p.grad) * scale for n, p in model.named_parameters()}
        history.append(losses)
    parameters = {**dict(model.named_parameters()), **vgg16_named(vgg16)}
    return {
        "history": history,
        "gradient_norms": gradient_norms,
        "parameter_norms": {name: _norm(p.detach()) for name, p in parameters.items()},
    }


def vgg16_named(vgg16: VGG16Features) -> dict[str, Tensor]:
    return {f"vgg16.{name}": parameter for name, parameter in vgg16.named_parameters()}


def _norm(x: Tensor) -> float:
    return x.norm().item()


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads((REFERENCE / "train_tiny.json").read_text())


@pytest.fixture(scope="module")
def double_run() -> dict:
    return run_steps(torch.float64, steps=5)


@pytest.fixture(scope="module")
def float_run() -> dict:
    return run_steps(torch.float32, steps=5)


def assert_step(actual: dict, expected: dict, tolerance: float) -> None:
    assert actual["total"] == pytest.approx(expected["total"], rel=tolerance)
    for name, (term, factor) in TERMS.items():
        assert factor * actual[term] == pytest.approx(expected[name], rel=tolerance), name


def test_first_step_losses(reference, double_run, float_run):
    assert_step(double_run["history"][0], reference["steps"][0], 1e-6)
    assert_step(float_run["history"][0], reference["steps"][0], 1e-4)


def test_last_step_losses(reference, double_run, float_run):
    assert len(reference["steps"]) == 5
    assert_step(double_run["history"][4], reference["steps"][4], 1e-3)
    assert_step(float_run["history"][4], reference["steps"][4], 2e-2)


def test_first_step_gradient_norms(reference, double_run):
    assert double_run["history"][0]["grad_norm"] == pytest.approx(
        reference["steps"][0]["grad_norm"], rel=1e-4
    )
    expected = reference["grad_norm_first_step"]
    assert set(expected) == set(double_run["gradient_norms"])
    for name, norm in expected.items():
        assert double_run["gradient_norms"][name] == pytest.approx(norm, rel=1e-4), name


def test_parameter_norms_after_five_steps(reference, double_run):
    expected = reference["param_norm_after_5"]
    assert set(expected) == set(double_run["parameter_norms"])
    for name, norm in expected.items():
        assert double_run["parameter_norms"][name] == pytest.approx(norm, rel=1e-4), name
