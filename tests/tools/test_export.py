"""The command tools.export: what training wrote, as a file that predict.py and others load."""

import sys

import pytest
import torch

from models import build_upocr
from models.checkpoint import build_from_checkpoint, load_checkpoint, save_atomically
from tools import export
from utils.cli import run


@pytest.fixture
def trained(tmp_path):
    model = build_upocr("upocr_nano", embed_dim=16)
    content = {"model": model.state_dict(), "architecture": model.architecture, "image_size": 96}
    content |= {
        "epoch": 3,
        "tasks": ["text_segmentation", "text_removal", "tampered_text_detection"],
    }
    path = tmp_path / "trained.pth"
    save_atomically(content, [path])
    return path


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(export.main)
    return stop.value.code


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 1e-3)])
def test_exported_weights_give_the_same_model(monkeypatch, trained, tmp_path, dtype, tolerance):
    output = tmp_path / "new" / "nano.safetensors"
    assert call(monkeypatch, trained, "--output", output, "--dtype", dtype) == 0
    before, after = load_checkpoint(trained), load_checkpoint(output)
    assert (after.architecture, after.image_size, after.tasks) == (
        before.architecture,
        96,
        before.tasks,
    )
    assert after.training == {}
    expected = build_from_checkpoint(before).state_dict()
    for name, value in build_from_checkpoint(after).state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], atol=tolerance, rtol=tolerance)
    assert [path.name for path in output.parent.iterdir()] == ["nano.safetensors"]


def test_of_several_checkpoints_the_mean_is_taken(monkeypatch, capsys, trained, tmp_path):
    content = torch.load(trained, weights_only=True)
    content["model"] = {name: value + 2 for name, value in content["model"].items()}
    later, other = tmp_path / "later.pth", tmp_path / "other.pth"
    save_atomically(content, [later])
    output = tmp_path / "nano.safetensors"
    assert call(monkeypatch, trained, later, "--output", output) == 0
    expected = load_checkpoint(trained).model
    found = load_checkpoint(output).model
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name] + 1)
    model = build_upocr("upocr_nano", embed_dim=32)
    changed = {"model": model.state_dict(), "architecture": model.architecture}
    save_atomically(content | changed, [other])
    assert call(monkeypatch, trained, other, "--output", tmp_path / "wrong.safetensors") == 2
    assert f"{other}: another network or other tasks than {trained}" in capsys.readouterr().err
    assert not (tmp_path / "wrong.safetensors").exists()


def test_weights_in_another_order_of_memory_are_exported(monkeypatch, trained, tmp_path):
    content = torch.load(trained, weights_only=True)
    turned = {
        name: v.T.contiguous().T if v.ndim == 2 else v for name, v in content["model"].items()
    }
    assert not all(value.is_contiguous() for value in turned.values())
    save_atomically(content | {"model": turned}, [tmp_path / "turned.pth"])
    output = tmp_path / "nano.safetensors"
    assert call(monkeypatch, tmp_path / "turned.pth", "--output", output) == 0
    expected = load_checkpoint(trained).model
    for name, value in load_checkpoint(output).model.items():
        torch.testing.assert_close(value, expected[name])


def test_another_size_is_named_on_demand(monkeypatch, capsys, trained, tmp_path):
    output = tmp_path / "nano.safetensors"
    assert call(monkeypatch, trained, "--output", output, "--image_size", 512) == 0
    assert load_checkpoint(output).image_size == 512
    output.unlink()
    assert call(monkeypatch, trained, "--output", output, "--image_size", 500) == 2
    assert "--image_size is 500, expected a multiple of 32" in capsys.readouterr().err
    assert not output.exists()


def test_half_the_bits_are_half_the_file(monkeypatch, trained, tmp_path):
    sizes = []
    for dtype in ("float32", "bfloat16"):
        call(monkeypatch, trained, "--output", tmp_path / f"{dtype}.safetensors", "--dtype", dtype)
        sizes.append((tmp_path / f"{dtype}.safetensors").stat().st_size)
    assert sizes[1] < 0.52 * sizes[0]


@pytest.mark.parametrize(
    ("checkpoint", "output", "message"),
    [
        ("none.pth", "a.safetensors", "none.pth: no such checkpoint"),
        ("trained.pth", "a.pth", "a.pth: expected a name that ends with .safetensors"),
    ],
)
def test_bad_input(monkeypatch, trained, tmp_path, capsys, checkpoint, output, message):
    assert call(monkeypatch, tmp_path / checkpoint, "--output", tmp_path / output) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / output).exists()
