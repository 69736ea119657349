"""The data set as a whole: the same bytes for any number of workers, readable by the data sets."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import build_dataset
from synthesis import synthesize as command
from synthesis.layouts import read_manifest
from synthesis.photo.backgrounds import shipped_photographs
from synthesis.synthesize import Recipe, synthesize
from synthesis.text.fonts import FontBook, load_faces

CONFIGS = Path(__file__).parents[2] / "data_configs"
CONFIG_NAMES = ("text-removal", "text-segmentation", "tampered-text-detection")

WORD_KEYS = {"text", "script", "font", "box", "height", "legible"}


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def make(recipe: Recipe, workers: int = 0) -> dict[str, str]:
    """Digests of a data set like the fixture's."""
    synthesize(recipe, {"train": 3, "test": 2}, workers, progress=False)
    return digests(recipe.output_dir)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_bytes_do_not_depend_on_workers(
    synthetic: Path, make_recipe: Callable[..., Recipe], tmp_path: Path, workers: int
):
    assert make(make_recipe(tmp_path), workers) == digests(synthetic)


def test_a_sample_does_not_depend_on_how_many_there_are(
    synthetic: Path, make_recipe: Callable[..., Recipe], tmp_path: Path
):
    make_recipe(tmp_path).make("test", 1)
    assert digests(tmp_path).items() <= digests(synthetic).items()


def test_another_seed_gives_other_pictures(
    synthetic: Path, make_recipe: Callable[..., Recipe], tmp_path: Path
):
    other, first = make(make_recipe(tmp_path, seed=1)), digests(synthetic)
    pictures = [path for path in first if path.endswith(".jpg")]
    assert all(other[path] != first[path] for path in pictures)


@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_configurations_read_the_data_set(synthetic: Path, tmp_path: Path, split: str, name: str):
    (tmp_path / "synthetic").symlink_to(synthetic)
    data = build_dataset(CONFIGS / split / f"synthetic-{name}.yaml", 64, tmp_path)
    assert len(data) == {"train": 3, "eval": 2}[split]
    sample = data[0, 7] if split == "train" else data[0]
    assert sample["image"].shape == (3, 64, 64)
    assert "label" in sample


def test_manifest_describes_every_image(synthetic: Path):
    records = read_manifest(synthetic)
    assert len(records) == 3 * (3 + 2)
    for record in records:
        assert record["background"]
        assert all(set(word) >= WORD_KEYS for word in record["words"])
    detections = [record for record in records if record["task"] == "tampered_text_detection"]
    assert all("forgeries" in record for record in detections)


def test_test_photographs_are_not_in_training(synthetic: Path):
    names = {
        split: {
            record["background"] for record in read_manifest(synthetic) if record["split"] == split
        }
        for split in ("train", "test")
    }
    assert not names["train"] & names["test"]


def test_test_split_from_its_own_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept, *others = shipped_photographs()[:3]
    for folder, photographs in (("other", others), ("test", [kept])):
        (tmp_path / folder).mkdir()
        for photograph in photographs:
            (tmp_path / folder / photograph.name).symlink_to(photograph)
    folders = ("--backgrounds", tmp_path / "other", "--test_backgrounds", tmp_path / "test")
    counts = ("--num_train", 4, "--num_test", 2)
    run_command(monkeypatch, "--output_dir", tmp_path / "synthetic", *folders, *counts)
    for record in read_manifest(tmp_path / "synthetic"):
        assert (record["background"] == kept.name) == (record["split"] == "test")


def test_without_any_font_pillows_own_is_used(make_recipe: Callable[..., Recipe], tmp_path: Path):
    fonts = FontBook(load_faces([]))
    assert fonts.scripts == ["latin"]
    assert make(make_recipe(tmp_path, fonts=fonts))
    words = [word for record in read_manifest(tmp_path) for word in record["words"]]
    assert {word["font"] for word in words} == {"Pillow built-in"}


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run the command in this process."""
    options = ["--num_train", 1, "--num_test", 0, "--size", 128, "--workers", 0]
    options += ["--fonts", Path(__file__).parent, *arguments]  # none there: Pillow's own
    monkeypatch.setattr(sys, "argv", ["synthesize", *map(str, options)])
    command.main()


def test_command_writes_preview_and_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    folder = tmp_path / "synthetic"
    run_command(monkeypatch, "--output_dir", folder, "--preview")
    assert (folder / "preview.png").is_file()
    assert "samples/s" in capsys.readouterr().out
    assert json.loads((folder / "TextSegmentation/TextSeg/split.json").read_text())["test"] == []


def test_only_a_synthetic_set_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_command(monkeypatch, "--output_dir", tmp_path, "--num_train", 2)
    with pytest.raises(ValueError, match="not empty"):
        run_command(monkeypatch, "--output_dir", tmp_path)
    run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")
    assert len(list((tmp_path / "TextRemoval/SCUT-EnsText/train/image").iterdir())) == 1
    (tmp_path / "manifest.jsonl").unlink()
    with pytest.raises(ValueError, match="not empty"):
        run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")


def test_overwriting_leaves_what_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_command(monkeypatch, "--output_dir", tmp_path, "--preview")
    mine = tmp_path / "TextRemoval/mine/1.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "preview.png").exists()


def test_what_an_interrupted_run_left_can_be_overwritten(tmp_path: Path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command.Recipe, "make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_command(patch, "--output_dir", tmp_path)
    run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")
    assert len(read_manifest(tmp_path)) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("--size", 64),
        ("--seed", -1),
        ("--num_train", 0),
        ("--fonts", "none"),
        ("--backgrounds", "none"),
        ("--test_backgrounds", "none"),
        ("--pages", 1.5),
        ("--decoys", -0.5),
        ("--honest", -0.25),
        ("--developed", 2),
    ],
)
def test_bad_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, object]
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=str(arguments[1])):
        run_command(monkeypatch, "--output_dir", tmp_path / "new", *arguments)
