"""The weights inside the package are those of pretrained/: `make weights` exports them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_run import DATA, ROOT

from models.checkpoint import build_from_checkpoint, load_checkpoint
from tools.graphs import weights_checksum
from upocr import UPOCR
from upocr.backends.archive import read_archive
from upocr.backends.choice import DEFAULT_WEIGHTS, load_backend
from upocr.picture import as_picture
from upocr.tiling import to_unit

SOURCE = ROOT / "pretrained/upocr_nano.safetensors"
PICTURES = sorted((DATA / "TextRemoval/SCUT-EnsText/test/image").glob("*.jpg"))


def test_they_were_exported_from_the_weights_of_the_clone():
    archive, checkpoint = read_archive(DEFAULT_WEIGHTS), load_checkpoint(SOURCE)
    assert archive.weights == weights_checksum(checkpoint.model)
    assert archive.tasks == checkpoint.tasks
    assert archive.image_size == checkpoint.image_size
    assert archive.verdict == checkpoint.verdict


@pytest.mark.slow
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_they_give_the_pictures_of_pytorch(path: Path):
    image = to_unit(as_picture(path).rgb())
    height, width = (side // 32 * 32 for side in image.shape[1:])
    images = image[None, :, :height, :width]
    model = build_from_checkpoint(load_checkpoint(SOURCE)).eval()
    with torch.inference_mode():
        expected = model(torch.tensor(images), [list(model.tasks)])[-1].clamp(0, 1).numpy()
    found = load_backend("onnxruntime").predict(images, model.tasks)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0.67, 0.8, 0.9])
def test_a_receipt_is_read_at_any_size(size):
    """From afar, the receipt of the sample looks like one letter."""
    sample = as_picture(ROOT / "upocr/server/static/samples/page.jpg").rgb()
    rgb = cv2.resize(sample, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    mask = UPOCR.from_pretrained(backend="onnxruntime").segment_text(rgb).mask
    assert 0.015 < (mask > 0).mean() < 0.03
