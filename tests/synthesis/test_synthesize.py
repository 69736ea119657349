"""The command: options, summary, overwriting."""

import json
import sys
from pathlib import Path

import pytest
from manifest import read_manifest

from synthesis import synthesize
from synthesis.photo.backgrounds import shipped_photographs
from synthesis.writer import DatasetWriter

NO_FONTS = Path(__file__).parent  # Pillow's own takes their place


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run the command in this process."""
    options = ["--num_train", 1, "--num_test", 0, "--size", 128, "--workers", 0]
    options += ["--fonts", NO_FONTS, *arguments]
    monkeypatch.setattr(sys, "argv", ["synthesize", *map(str, options)])
    synthesize.main()


def test_command_writes_preview_and_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    folder = tmp_path / "synthetic"
    run_command(monkeypatch, "--output_dir", folder, "--preview")
    assert (folder / "preview.png").is_file()
    assert "images/s" in capsys.readouterr().out
    assert json.loads((folder / "TextSegmentation/TextSeg/split.json").read_text())["test"] == []


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


def test_held_out_scans_are_in_the_test_split(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
):
    options = ("--scans", scans, "--scan_share", 1, "--held_out", "bank*")
    run_command(monkeypatch, "--output_dir", tmp_path, *options, "--num_train", 3, "--num_test", 2)
    seen = [
        (record["split"], record["scan"]) for record in read_manifest(tmp_path) if "scan" in record
    ]
    assert len(seen) == 5
    assert all((split == "test") == (name == "bank.png") for split, name in seen)


def test_only_a_synthetic_set_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_command(monkeypatch, "--output_dir", tmp_path, "--num_train", 2)
    with pytest.raises(ValueError, match="not empty"):
        run_command(monkeypatch, "--output_dir", tmp_path)
    run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")
    assert len(list((tmp_path / "TextRemoval/SCUT-EnsText/train/image").iterdir())) == 1
    (tmp_path / "manifest.jsonl").unlink()
    with pytest.raises(ValueError, match="not empty"):
        run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")


def test_overwriting_leaves_the_files_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_command(monkeypatch, "--output_dir", tmp_path, "--preview")
    mine = tmp_path / "TextRemoval/mine/1.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "preview.png").exists()


def test_an_interrupted_run_can_be_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DatasetWriter, "write_sample", interrupted)
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
        ("--text_free", -0.1),
        ("--distractors", -0.5),
        ("--untampered", -0.25),
        ("--postprocessed", 2),
        ("--scan_share", 1.25),
        ("--scans", "none"),
        ("--held_out", "nothing*"),
        ("--workers", -2),
        ("--pages", "nan"),
    ],
)
def test_a_bad_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, object]
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=str(arguments[1])):
        run_command(monkeypatch, "--output_dir", tmp_path / "new", *arguments)
