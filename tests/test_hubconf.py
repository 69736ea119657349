"""The entry points of `torch.hub.load`."""

import numpy as np
import pytest
import torch
from small_run import ROOT

from models import build_upocr
from models.checkpoint import save_atomically
from tasks import OFFICIAL_TASKS
from upocr import UPOCR


def load(entry: str, **options: object) -> UPOCR:
    return torch.hub.load(str(ROOT), entry, source="local", device="cpu", **options)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["upocr", "upocr_nano"])
def test_entry_with_weights(entry, tmp_path):
    model = build_upocr("upocr_nano")
    content = {"model": model.state_dict(), "architecture": model.architecture}
    content |= {"tasks": list(OFFICIAL_TASKS), "image_size": 64}
    save_atomically(content, [tmp_path / "nano.pth"])
    model = load(entry, weights=tmp_path / "nano.pth")
    assert type(model) is UPOCR
    assert model.segment_text(np.zeros((40, 40, 3), np.uint8)).mask.shape == (40, 40)


def test_nano_has_the_shipped_weights_and_refuses_another_variant(tmp_path):
    assert load("upocr_nano").backend.network.architecture["embed_dim"] == 32
    other = build_upocr("upocr_nano", embed_dim=16)
    path = tmp_path / "other.pth"
    save_atomically({"model": other.state_dict(), "architecture": other.architecture}, [path])
    with pytest.raises(ValueError, match=r"other\.pth: not weights of upocr_nano"):
        load("upocr_nano", weights=path)
