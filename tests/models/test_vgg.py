"""VGG16 features and where their weights come from."""

import pytest
import torch
from vectors import fill_by_name, reference_input

from models import build_vgg16
from models.vgg import VGG16Features
from utils import hub


def test_features_are_at_half_a_quarter_and_an_eighth_of_the_resolution():
    features = VGG16Features()(reference_input("vgg", (2, 3, 16, 24)))
    assert [tuple(x.shape) for x in features] == [(2, 64, 8, 12), (2, 128, 4, 6), (2, 256, 2, 3)]


def test_imagenet_weights_that_cannot_be_obtained_are_named(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise ValueError("no route")

    monkeypatch.setattr(hub, "fetch", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"vgg16-397923af\.pth") as error:
        build_vgg16("imagenet")
    assert str(tmp_path / "checkpoints") in str(error.value)
    assert "\n" not in str(error.value)


def test_random_weights_warn_and_repeat(caplog):
    first, second = build_vgg16("random"), build_vgg16("random")
    assert "random weights" in caplog.text
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert not any(p.requires_grad for p in first.parameters())


@pytest.mark.parametrize("naming", ["official", "torchvision"])
def test_weights_from_a_file(tmp_path, naming):
    source = build_vgg16("random")
    fill_by_name(source)
    positions = {"enc_1.0": 0, "enc_1.2": 2, "enc_2.0": 5, "enc_2.2": 7}
    positions |= {"enc_3.0": 10, "enc_3.2": 12, "enc_3.4": 14}
    state = {}
    for name, value in source.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        official = naming == "official"
        state[f"vgg16.{name}" if official else f"features.{positions[layer]}.{kind}"] = value
    torch.save({"model": state} if naming == "official" else state, tmp_path / "weights.pth")
    loaded = build_vgg16(str(tmp_path / "weights.pth"))
    for a, b in zip(loaded.parameters(), source.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("content", [None, b"", b"not a file of weights", {"model": {}}])
def test_bad_weight_files_are_named(tmp_path, content):
    path = tmp_path / "vgg.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=r"vgg\.pth: ") as error:
        build_vgg16(str(path))
    assert "\n" not in str(error.value)
