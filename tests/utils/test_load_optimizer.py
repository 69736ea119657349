"""Optimizer state of a file: taken as it is, or refused before anything is written."""

import copy

import pytest
import torch
from hostile.weights import MOMENTS, STEPS, optimizer_with
from torch import nn

from utils.optim import build_optimizer, load_optimizer


def trained() -> tuple[nn.Module, torch.optim.AdamW]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 12), nn.Conv2d(4, 6, 3))
    optimizer = build_optimizer(model, 1e-3, 0.1, 0.01)
    step(model, optimizer)
    return model, optimizer


def step(model: nn.Module, optimizer: torch.optim.AdamW) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def test_a_sound_state_goes_on_as_if_nothing_had_been_saved():
    model, optimizer = trained()
    other, fresh = copy.deepcopy(model), optimizer.state_dict()
    resumed = build_optimizer(other, 1e-3, 0.1, 0.01)
    load_optimizer(resumed, copy.deepcopy(fresh))
    step(model, optimizer)
    step(other, resumed)
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_numbers_and_channels_last_moments_are_sound():
    model, optimizer = trained()
    state = copy.deepcopy(optimizer.state_dict())
    for entry in state["state"].values():
        entry["step"] = 1  # as old releases of PyTorch saved it
        if entry["exp_avg"].ndim == 4:
            entry["exp_avg"] = entry["exp_avg"].to(memory_format=torch.channels_last)
    load_optimizer(build_optimizer(model, 1e-3, 0.1, 0.01), state)


HOSTILE = [
    (name, kind, value) for name in ("exp_avg", "exp_avg_sq") for kind, value in MOMENTS.items()
]
HOSTILE += [("step", kind, value) for kind, value in STEPS.items()]


@pytest.mark.parametrize(("name", "kind", "value"), HOSTILE, ids=lambda value: str(value)[:20])
def test_hostile_state_is_refused_before_anything_is_written(name, kind, value):
    _, optimizer = trained()
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=name) as error:
        load_optimizer(optimizer, optimizer_with(before, name, value))
    assert "\n" not in str(error.value)
    after = optimizer.state_dict()["state"]
    for number, entry in before["state"].items():
        assert all(torch.equal(after[number][key], entry[key]) for key in entry)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["state"].update({99: state["state"][0]}),
        lambda state: state["state"][0].pop("exp_avg_sq"),
        lambda state: state["state"][0].update(extra=torch.zeros(1)),
        lambda state: state["param_groups"][0]["params"].reverse() or state["param_groups"].pop(),
        lambda state: state["param_groups"][0].update(params=[0] * 4),
    ],
    ids=["unknown parameter", "missing moment", "further entry", "missing group", "one name"],
)
def test_a_state_of_another_structure_is_refused(change):
    _, optimizer = trained()
    state = copy.deepcopy(optimizer.state_dict())
    change(state)
    with pytest.raises(ValueError, match="optimizer"):
        load_optimizer(optimizer, state)
