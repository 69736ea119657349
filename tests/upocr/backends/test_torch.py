"""The PyTorch back end: weights found, fetched and refused; outputs checked."""

import numpy as np
import pytest
import torch

from models.checkpoint import load_checkpoint, save_atomically
from upocr import UPOCR
from upocr.backends.torch import find_weights, load
from utils.dist import inference_dtype

CPU = torch.device("cpu")


def test_output_is_clamped_and_checked(weights):
    backend = load(weights, "cpu")
    images = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    output = backend.predict(images, ["text_segmentation", "text_removal"])
    assert output.shape == (2, 2, 3, 64, 64)
    assert output.dtype == np.float32
    assert output.min() >= 0
    assert output.max() <= 1
    with torch.no_grad():
        next(backend.network.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="the network's output is not finite"):
        backend.predict(images, ["text_removal"])


def test_weights_that_do_not_fit(weights, tmp_path):
    found = load_checkpoint(weights)
    content = {"model": found.model, "architecture": found.architecture | {"embed_dim": 16}}
    save_atomically(content, [tmp_path / "other.pth"])
    with pytest.raises(ValueError, match=r"other.pth: weights do not fit the model"):
        UPOCR.from_pretrained(tmp_path / "other.pth", "cpu")
    with pytest.raises(ValueError, match=r"none.pth: no such checkpoint"):
        UPOCR.from_pretrained(tmp_path / "none.pth", "cpu")
    with pytest.raises(ValueError, match="unknown device 'abacus'"):
        UPOCR.from_pretrained(weights, "abacus")


def test_no_weights_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("upocr.backends.torch.DEFAULT_WEIGHTS", tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"none\.safetensors: no such file.*--weights"):
        find_weights(None)


def test_dtype_is_float32_on_a_cpu():
    assert inference_dtype(CPU, "auto") is None
    assert inference_dtype(CPU, "bfloat16") is torch.bfloat16
    for name, message in (("float16", "needs a GPU"), ("int3", "unknown dtype")):
        with pytest.raises(ValueError, match=message):
            inference_dtype(CPU, name)
