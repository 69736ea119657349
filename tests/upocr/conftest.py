"""Fixtures of the tests of own images."""

from pathlib import Path

import numpy as np
import pytest
from own_images import Painter, write_small_weights

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
def weights(tmp_path_factory) -> Path:
    """Random weights of a small network."""
    return write_small_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")
