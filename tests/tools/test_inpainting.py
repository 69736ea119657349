"""The detector-and-inpainting baseline: boxes are painted over, the rest stays."""

import sys

import numpy as np
import pytest
from PIL import Image

from tools import inpainting
from tools.inpainting import remove_text

BOX = np.array([[8, 8], [24, 8], [24, 16], [8, 16]], np.float32)


def grey_with_text() -> np.ndarray:
    image = np.full((32, 40, 3), 120, np.uint8)
    image[10:14, 10:22] = (250, 20, 20)
    return image


def test_text_in_a_box_is_painted_over():
    painted = remove_text(grey_with_text(), lambda image: [BOX], margin=0)
    assert np.abs(painted.astype(int) - 120).max() <= 3  # OpenCV is not exact on flat ground


def test_outside_the_boxes_nothing_changes():
    image = np.random.default_rng(0).integers(256, size=(32, 40, 3), dtype=np.uint8)
    for margin in (0, 3):
        painted = remove_text(image, lambda image: [BOX], margin)
        changed = np.argwhere((painted != image).any(-1))
        assert changed.min(0).tolist() == [8 - margin, 8 - margin]
        assert changed.max(0).tolist() == [16 + margin, 24 + margin]


def test_without_text_the_picture_is_the_same():
    image = grey_with_text()
    assert (remove_text(image, lambda image: [], 2) == image).all()


def test_command_writes_a_picture_for_each(tmp_path, monkeypatch):
    Image.fromarray(grey_with_text()).save(tmp_path / "a.png")
    monkeypatch.setattr(inpainting, "rapid_ocr", lambda: lambda image: [BOX])
    output_dir = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), "--output_dir", str(output_dir)])
    inpainting.main()
    painted = np.asarray(Image.open(output_dir / "a.removed.png")).astype(int)
    assert np.abs(painted - 120).max() <= 3


def test_missing_detector_is_named(tmp_path, monkeypatch):
    Image.fromarray(grey_with_text()).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), "--output_dir", str(tmp_path / "out")])
    with pytest.raises(ValueError, match="pip install rapidocr-onnxruntime"):
        inpainting.main()
    assert not (tmp_path / "out").exists()
