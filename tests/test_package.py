"""The wheel: one name, beside foreign packages that are called like rooms of the repository."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from small_run import DATA, ROOT

pytestmark = pytest.mark.slow
FOREIGN = ("models", "datasets", "utils", "tasks", "predict")
PHOTO = DATA / "TextRemoval/SCUT-EnsText/test/image/1.jpg"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The unpacked wheel in a folder with packages that must not be imported."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "LICENSE", "MANIFEST.in", "docs/own_images.md"):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "upocr", source / "upocr")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", source, source]
    subprocess.run(command, check=True, capture_output=True, env=environment(source))
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert {name.split("/")[0].split("-")[0] for name in file.namelist()} == {"upocr"}
        file.extractall(folder)
    for name in FOREIGN:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('the foreign {name} is imported')")
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


def call(installed: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_is_typed_and_carries_its_weights(installed):
    assert (installed / "upocr/py.typed").exists()
    assert (installed / "upocr/weights/upocr_nano.onnx.zip").stat().st_size < 12e6
    (scripts,) = installed.glob("*.dist-info/entry_points.txt")
    assert "upocr = upocr.__main__:command" in scripts.read_text()


def test_import_loads_neither_torch_nor_foreign_packages(installed, tmp_path):
    program = (
        "import sys; from upocr import UPOCR; import upocr.__main__;"
        "heavy = {'torch', 'onnxruntime', 'models', 'datasets', 'utils'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = call(installed, tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr


def test_a_photo_through_the_command(installed, tmp_path):
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    done = call(installed, tmp_path, "-m", "upocr", "remove", "photo.jpg")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads((tmp_path / "out/results.json").read_text())
    assert record["tasks"] == ["text_removal"]
    assert (tmp_path / "out/photo.removed.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["remove", "none*.png"], "error: none*.png: no image matches this pattern"),
        (["remove", "a.png", "--weights", "a.pth"], "error: a.pth: the back end torch works in a"),
        (["remove", "a.png", "--weights", "a.zip"], "error: a.zip: no such file"),
        (["remove", "a.png", "--device", "cuda", "--backend", "onnxruntime"], "runs on CPUs"),
        (["remove", "a.png", "--backend", "torch"], "the back end torch works in a clone"),
        (["sing"], "invalid choice: 'sing'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(installed, tmp_path, arguments, message):
    shutil.copy(PHOTO, tmp_path / "a.png")
    done = call(installed, tmp_path, "-m", "upocr", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_models_names_weights_and_back_ends(installed, tmp_path):
    done = call(installed, tmp_path, "-m", "upocr", "models")
    assert done.returncode == 0, done.stderr
    assert "upocr_nano: text_removal, tampered_text_detection, text_segmentation" in done.stdout
    assert "onnxruntime: available" in done.stdout
    assert "torch: not available" in done.stdout
