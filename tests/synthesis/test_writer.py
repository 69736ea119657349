"""The data set as a whole: the same bytes for any number of workers, readable by the data sets."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from manifest import read_manifest

from datasets import build_dataset
from synthesis.text.fonts import BUILT_IN, Face, FontBook
from synthesis.writer import DatasetWriter

CONFIGS = Path(__file__).parents[2] / "data_configs"
CONFIG_NAMES = ("text-removal", "text-segmentation", "tampered-text-detection")

WORD_KEYS = {"text", "script", "font", "box", "height", "contrast", "legible"}


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def write(writer: DatasetWriter, workers: int = 0) -> dict[str, str]:
    """Digests of a data set like the fixture's."""
    writer.write({"train": 3, "test": 2}, workers, progress=False)
    return digests(writer.output_dir)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_bytes_do_not_depend_on_workers(
    synthetic: Path, make_writer: Callable[..., DatasetWriter], tmp_path: Path, workers: int
):
    assert write(make_writer(tmp_path), workers) == digests(synthetic)


def test_a_sample_does_not_depend_on_how_many_there_are(
    synthetic: Path, make_writer: Callable[..., DatasetWriter], tmp_path: Path
):
    make_writer(tmp_path).write_sample(("test", 1))
    assert digests(tmp_path).items() <= digests(synthetic).items()


def test_another_seed_gives_other_pictures(
    synthetic: Path, make_writer: Callable[..., DatasetWriter], tmp_path: Path
):
    other, first = write(make_writer(tmp_path, seed=1)), digests(synthetic)
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


def test_the_manifest_describes_every_image(synthetic: Path):
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


def test_pillows_own_font_is_enough(make_writer: Callable[..., DatasetWriter], tmp_path: Path):
    fonts = FontBook([Face(BUILT_IN, "", ("latin",))])
    assert write(make_writer(tmp_path, fonts=fonts))
    words = [word for record in read_manifest(tmp_path) for word in record["words"]]
    assert {word["font"] for word in words} == {"Pillow built-in"}
