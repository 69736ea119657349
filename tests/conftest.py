"""Fixtures that the tests share."""

import json

import pytest
from vectors import REFERENCE, TINY, fill_by_name

from models import UPOCR, build_upocr


@pytest.fixture(scope="session")
def state_dict_keys() -> dict[str, dict[str, list]]:
    """Reference key -> [shape, dtype], for `full` and `tiny`."""
    return {
        size: json.loads((REFERENCE / f"state_dict_{size}_train.json").read_text())
        for size in ("full", "tiny")
    }


@pytest.fixture
def tiny_model() -> UPOCR:
    """The reference's tiny model with its weights, in evaluation mode."""
    model = build_upocr("upocr", **TINY)
    fill_by_name(model)
    return model.eval()


@pytest.fixture(scope="session")
def full_model() -> UPOCR:
    """The paper's model with the reference weights, in evaluation mode; not to be changed."""
    model = build_upocr()
    fill_by_name(model)
    return model.eval()
