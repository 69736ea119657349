"""The command `predict.py`: files in, results out, one line for what is wrong."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from own_images import SMALL, write_small_weights
from PIL import Image

import predict
from models import build_upocr
from models.checkpoint import save_atomically
from tasks import OFFICIAL_TASKS
from upocr import UPOCR

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Random weights of a small network."""
    return write_small_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three images, one of them further down."""
    root = tmp_path / "in"
    (root / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "below/c.png"):
        Image.fromarray(rng.integers(0, 256, (40, 70, 3), np.uint8)).save(root / name)
    return root


def call(weights: Path, out: Path, *arguments) -> tuple[int, list[dict]]:
    options = ["--weights", weights, "--output_dir", out, "--device", "cpu"]
    code = predict.main([str(a) for a in (*arguments, *options)])
    return code, json.loads((out / "results.json").read_text())


def test_all_tasks_on_a_folder(weights, folder, tmp_path):
    out = tmp_path / "out"
    code, records = call(weights, out, folder, "--task", "all", "--recursive", "true")
    assert code == 0
    assert [Path(record["input"]).name for record in records] == ["a.png", "b.jpg", "c.png"]
    for record in records:
        (page,) = record["pages"]
        assert (page["width"], page["height"]) == (70, 40)
        assert record["seconds"] >= page["seconds"] > 0
        assert set(OFFICIAL_TASKS) <= set(page)
        removed = np.asarray(Image.open(out / page["files"][0]))
        changed = (removed != np.asarray(Image.open(record["input"]))).any(axis=2)
        assert page["text_removal"]["text_area"] >= changed.sum()
        assert all((out / file).is_file() for file in page["files"])
    assert (out / "below" / "c.removed.png").exists()
    written = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    listed = {file for record in records for page in record["pages"] for file in page["files"]}
    assert written == listed | {"results.json"}


def test_folder_pattern_list_and_repeated_names(weights, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{folder}/a.png\n\n"))
    names = [folder / "*.jpg", "-", folder / "a.png"]
    _, records = call(weights, tmp_path / "out", *names)
    assert [Path(record["input"]).name for record in records] == ["b.jpg", "a.png"]


def test_one_bad_file_does_not_stop_the_others(weights, folder, tmp_path, capsys):
    (folder / "aa.png").write_bytes(b"")
    (folder / "ab.png").write_bytes((folder / "a.png").read_bytes()[:300])
    (folder / "ac.png").write_text("hello")
    code, records = call(weights, tmp_path / "out", folder, folder / "none.png")
    assert code == 1
    failed = {Path(record["input"]).name for record in records if "error" in record}
    assert failed == {"aa.png", "ab.png", "ac.png", "none.png"}
    assert (tmp_path / "out" / "b.removed.png").exists()
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 4
    assert all(any(name in line for name in failed) for line in lines)
    results = tmp_path / "out" / "results.json"
    assert printed.out == f"{len(records) - 4} of {len(records)} images done, listed in {results}\n"


def test_overwrite_false_skips_what_is_done(weights, folder, tmp_path):
    out = tmp_path / "out"
    call(weights, out, folder / "a.png")
    (out / "a.removed.png").write_text("kept")
    _, records = call(weights, out, folder, "--overwrite", "false")
    assert (out / "a.removed.png").read_text() == "kept"
    assert [Path(record["input"]).name for record in records] == ["a.png", "b.jpg"]
    (out / "a.removed.png").unlink()
    call(weights, out, folder / "a.png", "--overwrite", "false")
    Image.open(out / "a.removed.png").load()


def test_overwrite_false_makes_again_what_another_picture_replaced(weights, folder, tmp_path):
    out, namesake = tmp_path / "out", tmp_path / "other" / "a.png"
    namesake.parent.mkdir()
    Image.new("RGB", (33, 21)).save(namesake)
    call(weights, out, folder / "a.png")
    _, records = call(weights, out, namesake)
    assert [record["input"] for record in records] == [str(namesake)]
    call(weights, out, folder / "a.png", "--overwrite", "false")
    assert Image.open(out / "a.removed.png").size == (70, 40)


def test_overwrite_false_makes_again_what_other_options_made(weights, folder, tmp_path):
    out, image = tmp_path / "out", folder / "a.png"
    call(weights, out, image, "--decision", "pixel", "--threshold", "1")
    untouched = (out / "a.removed.png").read_bytes()
    changed = ["--decision", "pixel", "--threshold", "0"]
    call(weights, out, image, *changed, "--overwrite", "false")
    assert (out / "a.removed.png").read_bytes() != untouched


def is_done_again(weights, out: Path, image: Path, *options) -> bool:
    """Whether `--overwrite false` does a picture again that was done before."""
    path = out / "a.removed.png"
    before = path.stat().st_mtime_ns
    call(weights, out, image, "--overwrite", "false", *options)
    return path.stat().st_mtime_ns != before


def test_overwrite_false_makes_again_what_is_empty(weights, folder, tmp_path):
    out, image = tmp_path / "out", folder / "a.png"
    call(weights, out, image)
    assert not is_done_again(weights, out, image)
    (out / "a.removed_overlay.png").write_bytes(b"")
    assert is_done_again(weights, out, image)


def test_overwrite_false_makes_again_what_a_replaced_input_made(weights, folder, tmp_path):
    out, image = tmp_path / "out", folder / "a.png"
    call(weights, out, image)
    Image.new("RGB", (70, 40), "white").save(image)
    assert is_done_again(weights, out, image)
    assert not is_done_again(weights, out, image)


def test_overwrite_false_makes_again_what_other_weights_made(weights, folder, tmp_path):
    out, image, moved = tmp_path / "out", folder / "a.png", tmp_path / "moved.safetensors"
    shutil.copy(weights, moved)
    call(moved, out, image)
    assert not is_done_again(weights, out, image)  # the same under another name
    write_small_weights(moved, seed=1)
    assert is_done_again(moved, out, image)


def test_overwrite_false_makes_again_what_another_region_made(weights, folder, tmp_path):
    out, image, mask = tmp_path / "out", folder / "a.png", tmp_path / "mask.png"
    Image.new("L", (70, 40), 255).save(mask)
    call(weights, out, image, "--region", mask)
    assert not is_done_again(weights, out, image, "--region", mask)
    Image.new("L", (70, 40), 0).save(mask)
    assert is_done_again(weights, out, image, "--region", mask)


def test_names_that_are_not_utf_8(weights, folder, tmp_path):
    """A file of such a name, and lines of standard input that are no names at all."""
    name = os.fsencode(folder) + b"/na\xefve.png"
    (folder / "a.png").rename(os.fsdecode(name))
    lines = [name, b"\0.png", b"no\x1bc.png", os.fsencode(folder) + b"/b.jpg", b"x" * 300]
    out = tmp_path / os.fsdecode(b"\xefut")
    command = [sys.executable, "predict.py", "-", "--weights", weights, "--output_dir", out]
    done = subprocess.run(
        command, cwd=ROOT, input=b"\n".join(lines), capture_output=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(b"2 of 5 images done, listed in "), done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith(b"error:")]
    assert errors[0].startswith(rb"error: \x00.png: ")
    assert errors[1] == rb"error: no\x1bc.png: no such file"
    assert len(errors) == 3
    assert os.path.exists(os.path.join(os.fsencode(out), b"na\xefve.removed.png"))
    records = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [os.fsencode(each["input"]) for each in records] == lines


def test_a_skipped_page_keeps_its_results(weights, tmp_path):
    out, scan = tmp_path / "out", tmp_path / "x.tif"
    pages = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    pages[0].save(scan, save_all=True, append_images=pages[1:])
    call(weights, out, scan)
    namesake = tmp_path / "x.page1.png"
    Image.new("RGB", (33, 33)).save(namesake)
    code, records = call(weights, out, scan, namesake, "--overwrite", "false")
    assert code == 1
    assert [record["input"] for record in records if "error" in record] == [str(namesake)]
    assert Image.open(out / "x.page1.removed.png").size == (40, 40)


def test_a_picture_that_failed_keeps_no_page_from_a_skipped_one(weights, tmp_path):
    out, scan, namesake = (tmp_path / name for name in ("out", "x.tif", "x.page1.png"))
    pages = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    pages[0].save(scan, save_all=True, append_images=pages[1:])
    Image.new("RGB", (33, 33)).save(namesake)
    options = ["--region", "0,0,35,35"]
    call(weights, out, scan, *options)
    before = (out / "x.page1.removed.png").read_bytes()
    code, records = call(weights, out, namesake, scan, *options, "--overwrite", "false")
    assert code == 1
    failed = [record["error"] for record in records if "error" in record]
    assert len(failed) == 1
    assert "not inside the image of 33 x 33" in failed[0]
    assert (out / "x.page1.removed.png").read_bytes() == before


def test_another_task_starts_a_record_of_its_own(weights, folder, tmp_path):
    out, image = tmp_path / "out", folder / "a.png"
    call(weights, out, image)
    (out / "a.removed.png").write_text("kept")
    _, (record,) = call(weights, out, image, "--task", "text_segmentation")
    assert record["tasks"] == ["text_segmentation"]
    assert "a.removed.png" not in record["pages"][0]["files"]
    assert (out / "a.removed.png").read_text() == "kept"
    call(weights, out, image, "--overwrite", "false")
    Image.open(out / "a.removed.png").load()


@pytest.mark.slow
@pytest.mark.parametrize("out", ["out", "."])
def test_results_are_no_inputs_of_the_next_run(weights, folder, out):
    options = [folder, "--recursive", "true"]
    _, first = call(weights, folder / out, *options)
    code, second = call(weights, folder / out, *options)
    assert code == 0
    assert [record["input"] for record in second] == [record["input"] for record in first]
    call(weights, folder / out, *options, "--task", "text_segmentation")
    code, third = call(weights, folder / out, *options)
    assert [record["input"] for record in third] == [record["input"] for record in first]
    _, (record,) = call(weights, folder / "more", folder / out / "a.removed.png")  # if it is named
    assert record["pages"][0]["page"] == "a.removed"


@pytest.mark.parametrize("other", ["a.removed.png", "a.mask.png", "a.classes_overlay.png"])
def test_no_result_takes_the_place_of_an_input(weights, folder, capsys, other):
    Image.new("RGB", (30, 20), "blue").save(folder / other)
    before = (folder / other).read_bytes()
    code, records = call(weights, folder, folder, "--task", "all")
    assert code == 1
    assert (folder / other).read_bytes() == before
    failed = [record for record in records if "error" in record]
    assert [Path(record["input"]).name for record in failed] == ["a.png"]
    assert f"{folder / other} is an image of this run" in failed[0]["error"]
    assert not list(folder.glob("a.probability*"))  # nothing of it was written


def test_killed_run_keeps_its_records(weights, folder, tmp_path, monkeypatch):
    def killed(self, *arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr(UPOCR, "run", killed)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stop:
            call(weights, tmp_path / "out", folder, "--task", "tampered_text_detection")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 143
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == []


def test_output_that_is_not_finite_is_an_error(folder, tmp_path):
    model = build_upocr("upocr_nano", **SMALL)
    with torch.no_grad():
        model.proj.bias[0] = float("nan")
    content = {"model": model.state_dict(), "architecture": model.architecture, "image_size": 64}
    save_atomically(content, [tmp_path / "nan.pth"])
    code, records = call(tmp_path / "nan.pth", tmp_path / "out", folder / "a.png")
    assert code == 1
    assert "a.png: the network's output is not finite" in records[0]["error"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.json"]


def test_pages_and_same_format(weights, tmp_path):
    pages = [Image.new("L", (20, 30 + n)) for n in range(2)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    _, records = call(weights, tmp_path / "out", tmp_path / "scan.tif", "--format", "same")
    assert [page["height"] for page in records[0]["pages"]] == [30, 31]
    with Image.open(tmp_path / "out" / "scan.removed.tif") as both:
        assert both.n_frames == 2
        assert both.mode == "L"


def test_animation_is_said_in_the_results(weights, tmp_path):
    frames = [Image.new("RGB", (9, 8), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    _, records = call(weights, tmp_path / "out", tmp_path / "a.gif")
    assert "first one" in records[0]["pages"][0]["notes"][0]


def test_region_of_the_command_line(weights, folder, tmp_path):
    mask = np.zeros((40, 70), np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    threshold = ["--decision", "pixel", "--threshold", "0"]  # everything is text
    source = np.array(Image.open(folder / "a.png"))
    call(weights, tmp_path / "out", folder / "a.png", "--region", tmp_path / "mask.png", *threshold)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out/a.removed.png")), source)
    call(weights, tmp_path / "out", folder / "a.png", "--region", "10,5,30,20", *threshold)
    changed = (np.array(Image.open(tmp_path / "out/a.removed.png")) != source).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (10, 5, 29, 19)
    code, records = call(weights, tmp_path / "out", folder / "a.png", "--region", "0,0,999,9")
    assert code == 1
    assert "not inside the image of 70 x 40" in records[0]["error"]


def test_interrupted_run_keeps_its_records(weights, folder, tmp_path, monkeypatch):
    real, calls = UPOCR.run, []

    def interrupted(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *arguments, **options)

    monkeypatch.setattr(UPOCR, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(weights, tmp_path / "out", folder)
    records = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [Path(record["input"]).name for record in records] == ["a.png"]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/empty"], "no images in this folder"),
        (["{folder}/*.gif"], "no image matches"),
        (["{folder}/a.png", "--device", "abacus"], "unknown device 'abacus'"),
        (["{folder}/a.png", "--task", "sing"], "unknown task 'sing', expected one of text_rem"),
        (["{folder}/a.png", "--weights", "none.pth"], "no such checkpoint"),
        (["{folder}/a.png", "--weights", "{folder}/a.png"], "a.png: is damaged"),
        (
            ["{folder}/a.png", "--output_dir", "{folder}/a.png"],
            "a.png is a file, expected a folder",
        ),
        (["{folder}/a.png", "{folder}/twin/a.png"], "would both write the results"),
        (["{folder}/a.png", "--region", "1,2,three,4"], "four whole numbers"),
        (["{folder}/a.png", "--region", "1,2"], "x1,y1,x2,y2"),
        (["{folder}/a.png", "--task_module", "nowhere"], "no module named 'nowhere'"),
        (["{folder}/a.png", "--threshold", "7"], "--threshold is 7.0"),
        (
            ["{folder}/a.png", "--batch_size", "0"],
            "--batch_size: '0' is not an integer above 0",
        ),
    ],
)
def test_bad_command_lines(weights, folder, tmp_path, arguments, message):
    (folder / "empty").mkdir()
    (folder / "twin").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "twin/a.png")
    defaults = {"--weights": weights, "--output_dir": tmp_path / "out", "--device": "cpu"}
    arguments = [argument.format(folder=folder) for argument in arguments]
    given = [part for item in defaults.items() for part in map(str, item)]
    with pytest.raises((ValueError, OSError), match=message):
        predict.main([*given, *arguments])
    assert not list((tmp_path / "out").glob("*"))


def test_errors_of_the_command_are_one_line_and_exit_2(tmp_path):
    command = [sys.executable, "predict.py", "nothing*.png", "--output_dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: nothing*.png: no image matches this pattern\n"


@pytest.fixture
def page(weights, folder, tmp_path, monkeypatch) -> str:
    """docs/own_images.md, in a folder with the files that it names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    shutil.copy(weights, tmp_path / "pretrained/upocr_nano.safetensors")
    folder.rename(tmp_path / "scans")
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 30), "white").save(tmp_path / "more/page.png")
    Image.new("RGB", (50, 40), "white").save(tmp_path / "photo.jpg")
    return (ROOT / "docs/own_images.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_commands_of_the_page(page):
    commands = re.search(r"```sh\n(python .*?)```", page, re.DOTALL)[1].replace("\\\n", "")
    for command in commands.splitlines():
        assert predict.main(shlex.split(command)[2:]) == 0
    names = {record["input"] for record in json.loads(Path("out/results.json").read_text())}
    assert names == {
        "photo.jpg",
        "scans/a.png",
        "scans/b.jpg",
        "scans/below/c.png",
        "more/page.png",
    }


def test_python_of_the_page(page):
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    listed = {f"photo.{kind}" for kind in re.findall(r"`NAME\.(\w+\.\w+)`", page)}
    written = {path.name for path in Path("out").iterdir()}
    assert len(listed) >= 5
    assert listed <= written
