"""Exported weights: ONNX Runtime and OpenVINO give the picture of PyTorch; broken files say so."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile import weights as hostile_weights
from soak.limits import bounded

from tools.export import export
from upocr import UPOCR
from upocr.backends import choice
from upocr.backends.archive import MANIFEST, read_archive
from upocr.backends.choice import load_backend

pytestmark = pytest.mark.slow
RUNTIMES = [
    "onnxruntime",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            not choice.is_available("openvino"), reason="openvino is optional: pip install openvino"
        ),
    ),
]


@pytest.fixture(scope="module")
def exported(weights, tmp_path_factory) -> Path:
    """The small network as ONNX."""
    path = tmp_path_factory.mktemp("exported") / "small.onnx.zip"
    export([weights], path, "float32", format="onnx")
    return path


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (160, 224)])
def test_pictures_are_those_of_pytorch(weights, exported, runtime, height, width):
    images = np.random.default_rng(0).random((2, 3, height, width), np.float32)
    tasks = ["text_segmentation", "text_removal"]
    expected = load_backend("torch", weights, "cpu").predict(images, tasks)
    backend = load_backend(runtime, exported, num_threads=1)
    found = backend.predict(images, tasks)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    alone = backend.predict(images[1:], tasks[:1])
    np.testing.assert_array_equal(alone, found[1:, :1])


def test_results_are_those_of_pytorch(weights, exported, photo):
    models = [UPOCR.from_pretrained(path, "cpu") for path in (weights, exported)]
    assert models[0].window == models[1].window == 64
    expected, found = (model.run(photo, decision="pixel") for model in models)
    removed = [each["text_removal"].image.astype(int) for each in (expected, found)]
    assert abs(removed[0] - removed[1]).max() <= 1
    probabilities = [
        each["text_segmentation"].probability.astype(int) for each in (expected, found)
    ]
    assert abs(probabilities[0] - probabilities[1]).max() <= 1


def test_the_file_names_everything(exported):
    with zipfile.ZipFile(exported) as file:
        manifest = json.loads(file.read(MANIFEST))
    assert manifest["tasks"][0] == "text_removal"
    assert (manifest["version"], manifest["image_size"], manifest["dtype"]) == (1, 64, "float32")
    assert manifest["verdict"]["threshold"] == 0.5
    assert len(manifest["weights"]) == 64
    assert set(manifest["files"]) == {"encoder.onnx", "decoder.onnx"}


def change(source: Path, target: Path, name: str, data: bytes) -> Path:
    """A copy of an archive with one file replaced."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, data if entry == name else old.read(entry))
    return target


def test_broken_files_are_one_line(exported, weights, tmp_path):
    manifest = vars(read_archive(exported))
    assert manifest["format"] == "onnx"
    changed = change(exported, tmp_path / "changed.zip", "decoder.onnx", b"other")
    future = change(exported, tmp_path / "future.zip", MANIFEST, b'{"version": 99}')
    empty = tmp_path / "empty.zip"
    empty.write_bytes(b"")
    for path, message in (
        (changed, "changed.zip: decoder.onnx is damaged"),
        (future, "future.zip: is of version 99"),
        (empty, "empty.zip: damaged or not written by tools.export"),
        (tmp_path / "none.zip", "none.zip: no such file"),
    ):
        with pytest.raises(ValueError, match=message):
            load_backend("onnxruntime", path)


def test_options_that_only_pytorch_has(exported, weights):
    for arguments, message in (
        (("onnxruntime", weights), "runs files of `python -m tools.export --format onnx`"),
        (("onnxruntime", exported, "cuda"), "runs on CPUs, not on 'cuda'"),
        (("onnxruntime", exported, "cpu", "bfloat16"), "in float32, not in bfloat16"),
        (("onnxruntime", exported, "cpu", "auto", True), "has nothing to compile"),
        (("torch", exported), "exported weights, which the back end torch does not run"),
        (("abacus", exported), "unknown back end 'abacus', expected one of auto, torch"),
    ):
        with pytest.raises(ValueError, match=message):
            load_backend(*arguments)
    with pytest.raises(ValueError, match=r"was trained on text_removal, .*; not on sing"):
        load_backend("onnxruntime", exported).predict(
            np.zeros((1, 3, 32, 32), np.float32), ["sing"]
        )


def test_auto_takes_what_runs_the_weights_and_is_there(exported, weights, monkeypatch):
    def choose(weights, device="cpu", dtype="auto", compile=False):
        return choice.choose("auto", weights, device, dtype, compile)

    there = {"onnxruntime", "openvino", "torch"}
    monkeypatch.setattr(choice, "is_available", lambda name: name in there)
    assert choose(weights) == "torch"
    assert choose(exported) == choose(None) == "openvino"
    assert choose(None, dtype="bfloat16") == choose(None, compile=True) == "torch"
    there.discard("openvino")
    assert choose(exported) == choose(None) == "onnxruntime"
    there.discard("torch")
    with pytest.raises(ValueError, match=r"torch works in a clone of the repository"):
        choose(weights)
    there.clear()
    with pytest.raises(ValueError, match="onnxruntime needs `pip install onnxruntime`"):
        choose(exported)


def test_an_export_that_inflates_is_refused_before_memory_is_taken(tmp_path):
    path = hostile_weights.inflating_export(tmp_path / "a.zip", 2**28)
    assert path.stat().st_size < 2**19
    outcome = bounded(lambda: read_archive(path), memory=2**26)
    assert outcome.message == f"{path}: would inflate to more than 64 times its size"


def test_an_export_holds_nothing_but_its_graphs(tmp_path):
    path = hostile_weights.crowded_export(tmp_path / "a.zip")
    with pytest.raises(ValueError, match=r"a\.zip: holds other files than an export"):
        read_archive(path)
