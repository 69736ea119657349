"""Parameter groups and schedule against the authors' numbers."""

import json

import pytest
import torch
from vectors import REFERENCE

from models import build_upocr
from utils.optim import learning_rate, parameter_groups, set_lr


@pytest.mark.slow
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
