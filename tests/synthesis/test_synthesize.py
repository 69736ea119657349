"""The command: options, summary, overwriting."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from manifest import read_manifest

from synthesis import replacing, synthesize
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


@pytest.fixture
def mine(tmp_path: Path) -> dict[Path, bytes]:
    """Files of the user in and beside the folders of a data set, and their content."""
    names = ("TextRemoval/mine/1.png", "TextRemoval/SCUT-EnsText/train/image/mine.png")
    names += ("TextSegmentation/TextSeg/notes.txt", "preview.png", "notes.txt", ".hidden")
    return {tmp_path / name: name.encode() for name in names}


def test_overwriting_leaves_the_files_of_others(
    tmp_path: Path, mine: dict[Path, bytes], monkeypatch: pytest.MonkeyPatch
):
    run_command(monkeypatch, "--output_dir", tmp_path, "--num_train", 2, "--num_test", 1)
    ours = {path for path in tmp_path.rglob("*") if path.is_file()}
    for path, content in mine.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: path.read_bytes() for path in mine} == mine
    assert left < ours | set(mine)
    assert not any("000001" in path.name or "test_" in path.name for path in left)
    assert len(read_manifest(tmp_path)) == 3


def test_nothing_behind_a_link_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, elsewhere = tmp_path / "synthetic", tmp_path / "elsewhere"
    run_command(monkeypatch, "--output_dir", folder)
    (folder / "TextRemoval").rename(elsewhere)
    (folder / "TextRemoval").symlink_to(elsewhere)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="TextRemoval: is a link, and nothing behind it"):
        run_command(monkeypatch, "--output_dir", folder, "--overwrite", "true", "--seed", 1)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    assert len(list(elsewhere.rglob("*.png"))) == 3


def test_a_failed_run_leaves_the_old_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_command(monkeypatch, "--output_dir", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_sample = DatasetWriter.write_sample

    def fail(writer: DatasetWriter, job: tuple[str, int]) -> list:
        if job[1] == 1:
            raise OSError("No space left on device")
        return write_sample(writer, job)

    with monkeypatch.context() as patch:
        patch.setattr(DatasetWriter, "write_sample", fail)
        with pytest.raises(OSError, match="No space left"):
            run_command(
                patch,
                *("--output_dir", tmp_path, "--overwrite", "true", "--seed", 1, "--num_train", 2),
            )
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("moved", range(9))
def test_a_run_killed_while_it_replaces_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
):
    run_command(monkeypatch, "--output_dir", tmp_path, "--num_train", 2)
    moves = 0
    replace = os.replace

    def killed(source: object, target: object) -> None:
        nonlocal moves
        moves += replacing.STAGING in str(source) and replacing.STAGING not in str(target)
        if moves > moved:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(replacing.os, "replace", killed)
        patch.setattr(replacing.shutil, "rmtree", lambda *_, **__: None)  # nor does it clean up
        with pytest.raises(KeyboardInterrupt):
            run_command(patch, "--output_dir", tmp_path, "--overwrite", "true", "--seed", 1)
    run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true", "--seed", 2)
    run_command(monkeypatch, "--output_dir", tmp_path.with_name("fresh"), "--seed", 2)
    found, expected = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")
         if path.is_file()}
        for folder in (tmp_path, tmp_path.with_name("fresh"))
    )  # fmt: skip
    shutil.rmtree(tmp_path.with_name("fresh"))
    assert found == expected


@pytest.mark.parametrize(
    "line",
    ['{"name": "../../train_1"}', '{"name": "mine"}', '{"name": 3}', "{}", "no JSON", "[" * 9999],
)
def test_a_manifest_of_another_kind_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
):
    (tmp_path / "manifest.jsonl").write_text(line)
    with pytest.raises(ValueError, match=r"manifest\.jsonl:1: not the manifest"):
        run_command(monkeypatch, "--output_dir", tmp_path, "--overwrite", "true")
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]


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
        ("--min_contrast", 300),
        ("--min_contrast", 0),
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
