"""The training step and the evaluation loop."""

import logging
import math

import pytest
import torch
from torch import Tensor, nn

from engine import evaluate, task_gap, train_one_epoch
from tasks import OFFICIAL_TASKS
from utils.batch import Batch
from utils.logger import StepLog

CPU = torch.device("cpu")


class Painter(nn.Module):
    """A picture of one value per task."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = dict(zip(OFFICIAL_TASKS, values, strict=True))

    def forward(self, images: Tensor, tasks: list[str]) -> list[Tensor]:
        return [torch.stack([torch.full((3, 8, 8), self.values[task]) for task in tasks])]


def test_task_gap_is_the_mean_distance_of_all_pairs():
    image = torch.rand(1, 3, 8, 8)
    assert task_gap(Painter([0.5, 0.5, 0.5]), image, OFFICIAL_TASKS) == 0
    gap = task_gap(Painter([0.0, 0.3, 0.9]), image, OFFICIAL_TASKS)
    assert gap == pytest.approx((0.3 + 0.9 + 0.6) / 3)
    assert task_gap(Painter([0.0, 0.3, 0.9]), image, OFFICIAL_TASKS[1:]) == pytest.approx(0.6)


class Slope(nn.Module):
    """Two weights, and a loss whose gradient is (3, 4) times `factor`."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.factor = factor

    def forward(self, images: Tensor, tasks: list[str]) -> list[Tensor]:
        return [self.weight * torch.tensor([3.0, 4.0]) * self.factor]


def train(model: nn.Module, clip_max_norm: float, scaler: torch.amp.GradScaler, steps: int = 1):
    """Losses of an epoch of gradient descent with a learning rate of 1."""
    pixels = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    batch = Batch(pixels, pixels, pixels[:, :1], [OFFICIAL_TASKS[0]], ["a"])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    patience = 40 if scaler.is_enabled() else 0
    return train_one_epoch(
        model,
        lambda outputs, batch: (outputs[0].sum(), {"a/b": outputs[0].sum().detach()}),
        iter([batch] * steps),
        optimizer,
        scaler,
        StepLog(0, 1, steps, 10, optimizer, CPU, patience),
        device=CPU,
        amp_dtype=None,
        clip_max_norm=clip_max_norm,
    )


@pytest.mark.parametrize(("limit", "expected"), [(0.1, 0.1), (0.0, 5.0)])
def test_clipping_limits_the_step_and_reports_the_norm(limit, expected):
    model = Slope(1.0)
    losses = train(model, limit, torch.amp.GradScaler("cpu", enabled=False))
    assert losses == pytest.approx({"total": 7.0, "grad_norm": 5.0, "a/b": 7.0})
    step = model.weight.detach() - 1
    assert step.norm().item() == pytest.approx(expected, rel=1e-4)


def test_overflown_gradients_skip_the_step_and_lower_the_factor():
    model, scaler = Slope(3e37), torch.amp.GradScaler("cpu", init_scale=1024.0)
    train(model, 0.1, scaler)
    assert torch.equal(model.weight, torch.ones(2))
    assert scaler.get_scale() == 512.0
    model.factor = 1.0
    train(model, 0.0, scaler)
    assert torch.equal(model.weight, torch.tensor([-2.0, -3.0]))


def test_gradients_of_one_step_do_not_reach_the_next():
    model = Slope(1.0)
    train(model, 0.0, torch.amp.GradScaler("cpu", enabled=False), steps=3)
    assert torch.equal(model.weight, torch.ones(2) - 3 * torch.tensor([3.0, 4.0]))


class Recorder:
    def __init__(self) -> None:
        self.outputs: list[torch.Tensor] = []

    def update(self, outputs, samples) -> None:
        self.outputs.append(outputs)

    def compute(self) -> dict:
        return {"num_images": len(self.outputs)}


@pytest.mark.parametrize(("num_images", "warned"), [(2, False), (3, True)])
def test_evaluation_counts_images_and_clamps(caplog, num_images, warned):
    batch = {
        "images": torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        "samples": [{"task": OFFICIAL_TASKS[0], "name": "a"}],
    }
    recorder = Recorder()
    model = Painter([1.7, 0.0, 0.0])
    with caplog.at_level(logging.WARNING):
        results = evaluate(
            model,
            [batch, batch],
            recorder,
            device=CPU,
            amp_dtype=None,
            num_images=num_images,
        )
    assert results == {"num_images": 2}
    assert all(torch.equal(output, torch.ones(1, 3, 8, 8)) for output in recorder.outputs)
    assert ("evaluated 2 images of a data set of 3" in caplog.text) is warned


def test_an_output_that_is_not_finite_is_named():
    batch = {
        "images": torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        "samples": [
            {"task": OFFICIAL_TASKS[0], "name": "sound"},
            {"task": OFFICIAL_TASKS[0], "name": "broken"},
        ],
    }

    def model(images, tasks):
        outputs = torch.zeros(2, 3, 8, 8)
        outputs[1, 0, 3, 3] = math.nan
        return [outputs]

    painter = Painter([0.0, 0.0, 0.0])
    painter.forward = model
    with pytest.raises(ValueError, match="the output for broken is not finite"):
        evaluate(
            painter,
            [batch],
            Recorder(),
            device=CPU,
            amp_dtype=None,
            num_images=2,
        )
