"""The preview shows every label in the colour of its meaning."""

from pathlib import Path

import numpy as np
from PIL import Image

from synthesis.preview import write_preview
from tasks import ERASED, TEXT

GENUINE, TAMPERED = (0, 255, 0), (0, 0, 255)


def test_one_colour_for_one_meaning(synthetic: Path, tmp_path: Path):
    write_preview(synthetic, "train", 3, tmp_path / "preview.png")
    with Image.open(tmp_path / "preview.png") as image:
        shown = set(map(tuple, np.array(image).reshape(-1, 3).tolist()))
    assert shown >= {ERASED, TEXT, GENUINE, TAMPERED}
