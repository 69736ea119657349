"""The loops: what they log, when they stop, what they count."""

import logging
import math

import pytest
import torch
from torch import nn

from engine import DivergenceError, DivergenceWatch, evaluate, task_gap, to_device
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


def step(index: int, total: float, norm: float = 1.0) -> tuple[int, dict[str, float]]:
    return index, {"total": total, "text_removal/msr": total, "grad_norm": norm}


def test_first_step_that_is_not_finite_is_named():
    steps = [step(4, 1.0), step(5, math.inf), step(6, math.nan)]
    with pytest.raises(DivergenceError, match=r"loss .* epoch 3, step 5: total inf .*msr inf"):
        DivergenceWatch(epoch=3, patience=0).check(steps)
    with pytest.raises(DivergenceError, match="gradient is not finite at epoch 0, step 0"):
        DivergenceWatch(epoch=0, patience=0).check([step(0, 1.0, norm=math.inf)])


def test_a_scaler_may_skip_some_steps_in_a_row():
    watch = DivergenceWatch(epoch=0, patience=2)
    watch.check([step(0, 1.0, norm=math.inf)])
    watch.check([step(1, 1.0, norm=math.nan)])
    watch.check([step(2, 1.0)])
    watch.check([step(3, math.inf), step(4, math.inf)])  # counted across looks, from the last good
    with pytest.raises(DivergenceError, match="gradient is not finite at epoch 0, step 5"):
        watch.check([step(5, 1.0, norm=math.inf)])


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
        "samples": [{"task": TASKS[0], "name": "a"}],
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


def test_an_output_that_is_not_finite_is_named():
    batch = {
        "images": torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        "samples": [{"task": TASKS[0], "name": "sound"}, {"task": TASKS[0], "name": "broken"}],
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
            device=torch.device("cpu"),
            amp_dtype=None,
            num_images=2,
        )
