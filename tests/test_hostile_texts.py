"""Hostile text files, names and links: every reader takes them or names the file in one line."""

import json
import os
import socket
import time

import pytest
from hostile import texts
from small_run import DATA, ROOT
from soak.limits import READ, REFUSED, bounded

import options
from datasets import build_dataset
from datasets.boxes import paint_boxes, read_boxes
from datasets.check.discovery import find_datasets
from datasets.files import read_splits
from datasets.prepare.scut_enstext import draw_mask, read_polygons
from eval.records import read_metrics
from models.checkpoint import load_checkpoint
from synthesis.folders import find_files
from synthesis.scene.scans import read_scan
from tools import false_alarms, gallery, plot
from upocr.backends.archive import read_archive
from upocr.inputs import collect_inputs
from upocr.picture import read_pages
from upocr.quote import printable
from upocr.records import RESULTS_FILE, Records, read_results
from utils.cli import run
from utils.image import read_rgb
from utils.logger import RunLog
from utils.weights import read_file
from utils.yaml_file import read_yaml

TEXT_READERS = {
    "yaml": read_yaml,
    "options": options.read_config,
    "data": lambda path: build_dataset(path, 64),
    "results": read_results,
    "metrics": read_metrics,
    "splits": read_splits,
    "boxes": read_boxes,
    "polygons": read_polygons,
    "curves": lambda path: plot.read_run(path.parent),
}
READERS = TEXT_READERS | {
    "rgb": read_rgb,
    "pages": lambda path: next(read_pages(path)),
    "weights": read_file,
    "safetensors": lambda path: read_file(path.with_suffix(".safetensors")),
    "archive": read_archive,
}
RECORD = {
    "input": "a.png",
    "tasks": ["text_removal", "text_segmentation", "tampered_text_detection"],
    "options": {"threshold": None},
    "older_files": ["b.png"],
    "seconds": 0.1,
    "pages": [
        {
            "page": "a",
            "width": 40,
            "height": 30,
            "text_removal": {"changed": 0.1},
            "text_segmentation": {"text_area": 3},
            "tampered_text_detection": {"text_area": 3, "tampered_area": 1},
            "files": ["a.removed.png", "a.removed_overlay.png", "a.mask_overlay.png"],
        }
    ],
}
METRICS = {
    "letters": {"task": "text_segmentation", "num_images": 3, "fg_iou": 0.5, "f_score": 0.7},
    "erased": {"task": "text_removal", "num_images": 2, "strict": {"psnr": 31.25}},
}
LOG = {"epoch": 0, "lr": 1e-4, "train": {"total": 1.0, "a/b": 2.0}, "val": {"TextSeg": {}}}


def one_line(outcome, path) -> None:
    """A refusal that names the file."""
    assert outcome.kind == REFUSED, outcome
    assert path.name in outcome.message
    assert len(outcome.message) < 500 + len(str(path))


@pytest.mark.parametrize("kind", texts.YAML)
@pytest.mark.parametrize("reader", ["options", "data"])
def test_hostile_yaml_is_refused_in_bounded_memory(tmp_path, reader, kind):
    path = tmp_path / "config.yaml"
    path.write_text(texts.YAML[kind], encoding="utf-8")
    one_line(bounded(lambda: READERS[reader](path), memory=2**27, seconds=10), path)


def test_plain_yaml_is_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: [1, 2.5, word]\nb: {c: true, d: null}\n")
    assert read_yaml(path) == {"a": [1, 2.5, "word"], "b": {"c": True, "d": None}}


@pytest.mark.parametrize("kind", texts.JSON)
@pytest.mark.parametrize("reader", ["results", "metrics", "splits", "curves"])
def test_hostile_json_is_refused(tmp_path, reader, kind):
    path = tmp_path / "log.txt"
    path.write_bytes(texts.JSON[kind].encode("utf-8", "surrogateescape"))
    one_line(bounded(lambda: READERS[reader](path), seconds=10), path)


@pytest.mark.parametrize("kind", ["deep lists", "deep mappings", "a number of a million digits"])
def test_a_hostile_log_stops_resuming_with_one_line(tmp_path, kind):
    (tmp_path / "log.txt").write_text(texts.JSON[kind] + "\n")
    one_line(bounded(lambda: RunLog(tmp_path, {}, 1).begin()), tmp_path / "log.txt")


def with_every_value(content):
    """(path, value, changed content) of every place in `content` and every hostile value."""
    for path in texts.paths(content):
        for value in texts.VALUES:
            yield path, value, texts.with_value(content, path, value)


def read_records(folder):
    """All that predict.py and the tools do with `results.json`."""
    records = Records(folder)
    records.files()
    records.finished(folder / "a.png", tuple(RECORD["tasks"]), RECORD["options"])
    records.add({"input": "b.png", "tasks": [], "pages": [{"page": "b", "files": ["a.mask.png"]}]})
    for record in read_results(folder / RESULTS_FILE):
        for page in record["pages"]:
            gallery.task_files(page)
    false_alarms.shares(folder)


def draw_rows(folder):
    """All that the gallery does with `metrics.json`."""
    gallery.figure_rows(read_metrics(folder / "metrics.json"))


def draw_curves(folder):
    """All that resuming and the plot do with `log.txt`."""
    plot.read_run(folder)
    RunLog(folder, {}, 1).begin()


FILES = {
    "results.json": ([RECORD], read_records),
    "metrics.json": (METRICS, draw_rows),
    "log.txt": (LOG, draw_curves),
}


@pytest.mark.parametrize("name", FILES)
def test_values_of_wrong_types_are_one_line(tmp_path, name):
    content, read = FILES[name]
    (tmp_path / name).write_text(json.dumps(content))
    read(tmp_path)
    for path, value, changed in with_every_value(content):
        (tmp_path / name).write_text(json.dumps(changed))
        try:
            read(tmp_path)
        except ValueError as error:
            assert len(str(error)) < 500, (path, value)  # noqa: PT017 - others are tracebacks


@pytest.mark.parametrize("kind", texts.POLYGONS)
def test_polygons_beyond_a_picture_are_refused_at_once(tmp_path, kind):
    path = tmp_path / "1.txt"
    path.write_text(f"0,0,9,0,9,9,0,9\n{texts.POLYGONS[kind]}\n")
    outcome = bounded(lambda: draw_mask(read_polygons(path), (64, 64)), seconds=5)
    one_line(outcome, path)
    assert ":2: " in outcome.message


def test_polygons_that_leave_the_picture_are_cut(tmp_path):
    path = tmp_path / "1.txt"
    path.write_text("-60000,-60000,60000,-60000,60000,60000,-60000,60000")
    assert not draw_mask(read_polygons(path), (64, 48)).any()  # all text


@pytest.mark.parametrize("kind", texts.BOXES)
def test_hostile_boxes_are_refused(tmp_path, kind):
    path = tmp_path / "1.txt"
    path.write_text(texts.BOXES[kind])
    one_line(bounded(lambda: paint_boxes(read_boxes(path), (64, 64)), seconds=5), path)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("reader", READERS)
def test_nothing_waits_for_what_is_no_file(tmp_path, reader, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    suffix = ".safetensors" if reader == "safetensors" else ".txt"
    path = (tmp_path / "log").with_suffix(suffix)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    outcome = bounded(lambda: READERS[reader](path), seconds=10)
    one_line(outcome, path)
    assert "no log.txt" in outcome.message or "pipe, socket or device" in outcome.message


def test_a_scan_and_folders_of_photographs_wait_for_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "b.jpg")
    outcome = bounded(lambda: read_scan(tmp_path / "a.png"), seconds=10)
    one_line(outcome, tmp_path / "a.txt")
    assert find_files([tmp_path], (".jpg",), "photographs") == []


def test_a_circle_of_links_is_one_line_per_file(tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    first.symlink_to(second)
    second.symlink_to(first)
    found = collect_inputs([str(first)], False, [], tmp_path / "out", ()).inputs
    assert [each.path for each in found] == [first]
    for read in (read_rgb, lambda path: next(read_pages(path)), load_checkpoint, read_yaml):
        with pytest.raises((ValueError, OSError), match=r"a\.png"):
            read(first)


def test_a_link_to_its_own_folder_is_followed_once(tmp_path):
    (tmp_path / "data" / "again").parent.mkdir()
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "TextSeg").symlink_to(DATA / "TextSegmentation" / "TextSeg")
    [found] = find_datasets([tmp_path / "data"], tmp_path)
    assert found.root == tmp_path / "data" / "TextSeg"


def test_a_terminal_shows_names_and_values_as_text():
    hostile = f"a{texts.ESCAPE}\n\u202eb\udcff"
    shown = printable(hostile)
    assert shown == "a\\x1b[2J\\x1b]0;owned\\x07\\n\\u202eb\\udcff"
    assert printable("Straße 文字 نص") == "Straße 文字 نص"


def test_an_error_cannot_steer_the_terminal(capsys):
    def fail() -> None:
        raise ValueError(f"{texts.ESCAPE}.png: no such file")

    with pytest.raises(SystemExit):
        run(fail)
    assert capsys.readouterr().err == "error: \\x1b[2J\\x1b]0;owned\\x07.png: no such file\n"


def test_bounded_tells_a_reader_that_fails_from_one_that_refuses():
    def refuse() -> None:
        raise ValueError("a.txt: bad")

    kinds = {
        READ: lambda: None,
        REFUSED: refuse,
        "MemoryError": lambda: bytearray(2**31),
        "ended": lambda: os._exit(1),
        "no answer within 0.5 s": lambda: time.sleep(60),
        "KeyError": lambda: {}["a"],
    }
    for kind, call in kinds.items():
        assert bounded(call, seconds=0.5 if "answer" in kind else 20).kind == kind


def test_the_root_of_the_repository_is_no_configuration():
    one_line(bounded(lambda: read_yaml(ROOT)), ROOT)
