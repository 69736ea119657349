"""Fixtures that the tests share."""

import json
import sys
from pathlib import Path

import pytest
from small_run import DATA, ROOT, TRAINING
from vectors import REFERENCE, TINY, fill_by_name

import main
from models import UPOCRNetwork, build_upocr
from synthesis.text import fonts


@pytest.fixture(scope="session", autouse=True)
def no_system_fonts():
    """Tests bring their fonts: looking for those of the machine fails, whatever it has."""

    def refuse() -> None:
        raise RuntimeError("a test looks for the fonts of this machine, pass it a folder of fonts")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, "system_font_folders", refuse)
        yield


@pytest.fixture(scope="session")
def state_dict_keys() -> dict[str, dict[str, list]]:
    """Reference key -> [shape, dtype], for `full` and `tiny`."""
    return {
        size: json.loads((REFERENCE / f"state_dict_{size}_train.json").read_text())
        for size in ("full", "tiny")
    }


@pytest.fixture
def tiny_model() -> UPOCRNetwork:
    """The reference's tiny model with its weights, in evaluation mode."""
    model = build_upocr("upocr", **TINY)
    fill_by_name(model)
    return model.eval()


@pytest.fixture(scope="session")
def full_model() -> UPOCRNetwork:
    """The paper's model with the reference weights, in evaluation mode; not to be changed."""
    model = build_upocr()
    fill_by_name(model)
    return model.eval()


@pytest.fixture
def command(monkeypatch):
    """Run main.py in this process: `command(*arguments)`."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: object, data_root: Path = DATA) -> None:
        argv = ["main.py", "--data_root", str(data_root), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        main.main()

    return call


@pytest.fixture
def resume(monkeypatch):
    """Run main.py in this process with nothing but the given arguments."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["main.py", *map(str, arguments)])
        main.main()

    return call


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Written by training, used by the tests of evaluation."""
    folder = tmp_path_factory.mktemp("run")
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    argv = ["main.py", "--data_root", str(DATA), *TRAINING, "--epochs", "1"]
    patch.setattr(sys, "argv", [*argv, "--output_dir", str(folder)])
    main.main()
    patch.undo()
    return folder / "checkpoint_last.pth"
