"""The loops: what they log, when they stop, what they count."""

import logging

import pytest
import torch
from torch import nn

from engine import NonFiniteLossError, check_finite, evaluate, task_gap, to_device
from models import TASKS
from utils.logger import Averages, LossWindow


class Painter(nn.Module):
    """A picture of one value a task."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = torch.tensor(values)

    def forward(self, images, tasks):
        rows = tasks if isinstance(tasks, torch.Tensor) else torch.tensor([0] * len(images))
        return [self.values[rows][:, None, None, None].expand(-1, 3, 8, 8)]


def test_task_gap_is_the_mean_distance_of_all_pairs():
    image = torch.rand(1, 3, 8, 8)
    assert task_gap(Painter([0.5, 0.5, 0.5]), image) == 0
    assert task_gap(Painter([0.0, 0.3, 0.9]), image) == pytest.approx((0.3 + 0.9 + 0.6) / 3)


@pytest.mark.parametrize("training", [True, False])
def test_task_gap_leaves_the_mode(training):
    model = Painter([0.0, 0.1, 0.2]).train(training)
    task_gap(model, torch.rand(1, 3, 8, 8))
    assert model.training is training


def step(index: int, total: float) -> tuple[int, dict[str, float]]:
    return index, {"total": total, "text_removal/msr": total, "grad_norm": 1.0}


def test_first_step_that_is_not_finite_is_named():
    steps = [step(4, 1.0), step(5, float("inf")), step(6, float("nan"))]
    with pytest.raises(NonFiniteLossError, match=r"loss .* epoch 3, step 5: total inf .*msr inf"):
        check_finite(steps, epoch=3, scaled=False)


def test_a_scaler_may_skip_steps_but_not_all():
    check_finite([step(0, 1.0), step(1, float("inf"))], epoch=0, scaled=True)
    with pytest.raises(NonFiniteLossError, match="step 0"):
        check_finite([step(0, float("inf")), step(1, float("nan"))], epoch=0, scaled=True)


def test_an_overflown_gradient_is_left_to_the_scaler():
    steps = [(0, {"total": 1.0, "grad_norm": float("inf")})]
    check_finite(steps, epoch=0, scaled=True)
    with pytest.raises(NonFiniteLossError, match="gradient is not finite at epoch 0, step 0"):
        check_finite(steps, epoch=0, scaled=False)  # the step was taken


def test_averages_leave_out_what_is_not_finite():
    averages = Averages()
    for value in (1.0, float("nan"), 3.0, float("inf")):
        averages.add({"total": value})
    assert averages.means() == {"total": 2.0}


def test_window_returns_each_step_once():
    window = LossWindow()
    for index in range(3):
        window.add(index, {"b": torch.tensor(float(index)), "a": torch.tensor(1.0)})
    assert window.read() == [(i, {"a": 1.0, "b": float(i)}) for i in range(3)]
    assert window.read() == []


def test_images_reach_the_device_as_fractions():
    images = to_device(torch.tensor([0, 128, 255], dtype=torch.uint8), torch.device("cpu"))
    assert torch.equal(images, torch.tensor([0, 128 / 255, 1]))


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
        "samples": [{"task": TASKS[0]}],
    }
    recorder = Recorder()
    model = Painter([1.7, 0.0, 0.0]).train()
    with caplog.at_level(logging.WARNING):
        results = evaluate(
            model,
            [batch, batch],
            recorder,
            device=torch.device("cpu"),
            amp_dtype=None,
            num_images=num_images,
        )
    assert results == {"num_images": 2}
    assert all(torch.equal(output, torch.ones(1, 3, 8, 8)) for output in recorder.outputs)
    assert ("evaluated 2 images of a data set of 3" in caplog.text) is warned
    assert model.training
