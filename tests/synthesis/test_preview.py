"""The preview shows every label in the colour of its meaning."""

from pathlib import Path

import numpy as np
from PIL import Image

from synthesis.preview import write_preview
from tasks import ERASED, TEXT

GENUINE, TAMPERED = (0, 255, 0), (0, 0, 255)
_PACK = np.array([1 << 16, 1 << 8, 1])  # RGB to one number


def test_one_colour_for_one_meaning(synthetic: Path, tmp_path: Path):
    write_preview(synthetic, "train", 3, tmp_path / "preview.png")
    with Image.open(tmp_path / "preview.png") as image:
        shown = np.unique(np.array(image) @ _PACK)
    assert set(np.array([ERASED, TEXT, GENUINE, TAMPERED]) @ _PACK) <= set(shown)
