"""Parameter groups and schedule against the authors' numbers."""

import json

import pytest
import torch
from vectors import REFERENCE

from models import build_upocr
from utils.optim import learning_rate, optimizer_step, parameter_groups, set_lr


def test_parameter_groups_of_the_full_model(full_model):
    expected = json.loads((REFERENCE / "param_groups_full.json").read_text())
    names = {id(p): name for name, p in full_model.named_parameters()}
    groups = parameter_groups(full_model, lr=5e-4, lr_encoder_ratio=0.1, weight_decay=1e-4)
    optimizer = torch.optim.AdamW(groups)
    assert len(optimizer.param_groups) == len(expected)
    for group, reference in zip(optimizer.param_groups, expected, strict=True):
        assert [names[id(p)] for p in group["params"]] == reference["names"]
        assert group["lr"] == pytest.approx(reference["lr"], rel=1e-12)
        assert group["weight_decay"] == reference["weight_decay"]
        assert list(group["betas"]) == reference["betas"]


@pytest.mark.parametrize(
    ("name", "epochs", "warmup_epochs"), [("default", 400, 10), ("epochs20_warmup5", 20, 5)]
)
def test_schedule(name, epochs, warmup_epochs):
    expected = json.loads((REFERENCE / "lr_schedule.json").read_text())[name]
    rates = [learning_rate(e, epochs, 5e-4, 1e-5, warmup_epochs, 1e-4) for e in range(epochs)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_set_lr_keeps_the_ratio_of_the_groups():
    model = build_upocr("upocr_nano")
    optimizer = torch.optim.AdamW(parameter_groups(model, 1.0, 0.1, 0.0))
    set_lr(optimizer, 3e-4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([3e-4, 3e-5])


@pytest.mark.parametrize(("limit", "expected"), [(0.1, 0.1), (0.0, 5.0)])
def test_clipping_limits_the_step_and_reports_the_norm(limit, expected):
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    loss = weight @ torch.tensor([3.0, 4.0])
    norm = optimizer_step(loss, optimizer, scaler, [weight], limit)
    assert norm.item() == pytest.approx(5.0)
    assert weight.detach().norm().item() == pytest.approx(expected, rel=1e-4)


def test_overflown_gradients_skip_the_step_and_lower_the_factor():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer_step((weight * 3e38).sum(), optimizer, scaler, [weight], 0.1)
    assert torch.equal(weight, torch.ones(2))
    assert scaler.get_scale() == 512.0
    optimizer_step(weight.sum(), optimizer, scaler, [weight], 0.0)
    assert torch.equal(weight, torch.zeros(2))
