"""Fixtures of the tests of own images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from painter import Painter

from models import build_upocr
from models.checkpoint import save_atomically
from tasks import OFFICIAL_TASKS
from upocr import UPOCR


@pytest.fixture
def painter() -> UPOCR:
    return UPOCR(Painter())


@pytest.fixture
def photo() -> np.ndarray:
    """Noise without bright red, and two red blocks as text."""
    image = np.random.default_rng(0).integers(30, 200, (150, 200, 3), np.uint8)
    image[40:50, 60:90] = (255, 0, 0)
    image[100:108, 20:40] = (255, 0, 0)
    return image


@pytest.fixture(scope="session")
def nano(tmp_path_factory) -> Path:
    """A checkpoint of upocr_nano with random weights."""
    torch.manual_seed(0)
    model = build_upocr("upocr_nano")
    path = tmp_path_factory.mktemp("weights") / "nano.pth"
    save_atomically(
        {
            "model": model.state_dict(),
            "architecture": model.architecture,
            "tasks": list(OFFICIAL_TASKS),
            "image_size": 64,
        },
        [path],
    )
    return path
