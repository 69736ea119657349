"""tools.export --format web: a folder with the page, the model and ONNX Runtime Web, or nothing."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from static_site import write_package

from tools import export, web
from upocr.backends.archive import read_archive
from upocr.backends.choice import DEFAULT_WEIGHTS
from utils.cli import run


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An npm package whose files are those of the pinned version."""
    files = {name: f"// {name}" for name in web.SUMS}
    monkeypatch.setattr(web, "SUMS", write_package(tmp_path / "package", files))
    return tmp_path / "package"


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["export.py", "--format", "web", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(export.main)
    return stop.value.code


def test_the_folder_is_complete(monkeypatch, capsys, package, tmp_path):
    site = tmp_path / "new" / "site"
    assert call(monkeypatch, "--output", site, "--onnxruntime_web", package) == 0
    assert re.search(r"site: \d+\.\d MB", capsys.readouterr().out)
    assert {path.name for path in site.parent.iterdir()} == {"site"}
    names = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    modules = {name for name in names if name.endswith(".js")}
    for name in modules:  # every module is there
        for target in re.findall(r'(?:from|URL\()\s*"(\.[^"]+\.js)"', (site / name).read_text()):
            path = (site / name).parent / target
            assert path.resolve().relative_to(site.resolve()).as_posix() in names, (name, target)
    assert "static/local/worker.js" in modules
    assert {f"onnxruntime/{name}" for name in web.SUMS} < names
    assert not {"static/docs.js", "static/docs.html", "static/index.html"} & names
    page = (site / "index.html").read_text()
    for target in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert target in names | {"./", "docs"}, target  # relative: any folder of a host will do
    shipped, copied = (read_archive(path) for path in (DEFAULT_WEIGHTS, site / "model.zip"))
    assert copied == shipped


def test_the_page_may_load_and_send_nothing_elsewhere(monkeypatch, package, tmp_path):
    site = tmp_path / "site"
    call(monkeypatch, "--output", site, "--onnxruntime_web", package)
    page, headers = ((site / name).read_text() for name in ("index.html", "_headers"))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == rules["worker-src"] == "'self'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert page.index(policy) < page.index("<script") and policy in headers  # noqa: PT018
    assert "Cross-Origin-Opener-Policy: same-origin" in headers
    assert "Cross-Origin-Embedder-Policy: require-corp" in headers
    assert not [path for path in site.rglob("*.*") if b"sourceMappingURL=http" in path.read_bytes()]


def test_the_model_is_described(monkeypatch, package, tmp_path):
    site = tmp_path / "site"
    call(monkeypatch, "--output", site, "--onnxruntime_web", package, "--image_size", 256)
    described = json.loads((site / "model.json").read_text())
    assert described["tasks"] == {
        "remove": "text_removal",
        "segment": "text_segmentation",
        "detect": "tampered_text_detection",
    }
    assert described["window"] == 256
    files = [described["archive"]] + [
        {"file": each["binary"], "size": each["size"]} for each in described["runtime"].values()
    ]
    for each in files:
        assert (site / each["file"]).stat().st_size == each["size"]
    expected = described["check"]["expected"]
    assert len(expected) == 9 * -(-(64**2) // described["check"]["step"])
    assert min(expected) < 0.3
    assert max(expected) > 0.7


def test_an_earlier_page_is_replaced_and_other_files_stay(monkeypatch, package, tmp_path):
    site, outside = tmp_path / "site", tmp_path / "outside.txt"
    outside.write_text("not of the page")
    call(monkeypatch, "--output", site, "--onnxruntime_web", package)
    described = json.loads((site / "model.json").read_text())
    assert set(described["files"]) == {
        str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()
    }
    (site / "static" / "gone.js").write_text("a file of an older page")
    described["files"] += ["static/gone.js", "../outside.txt", str(outside)]
    (site / "model.json").write_text(json.dumps(described))
    (site / "index.html").write_text("older")
    (site / "CNAME").write_text("example.org")
    assert call(monkeypatch, "--output", site, "--onnxruntime_web", package) == 0
    assert not (site / "static" / "gone.js").exists()
    assert "older" not in (site / "index.html").read_text()
    assert (site / "CNAME").read_text() == "example.org"
    assert outside.read_text() == "not of the page"


@pytest.mark.parametrize("name", ["a.jpg", "model.json", "model.zip"])
def test_a_folder_of_something_else_is_left_alone(monkeypatch, capsys, package, tmp_path, name):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / name).write_text("[]")
    assert call(monkeypatch, "--output", photos, "--onnxruntime_web", package) == 2
    message = f"error: {photos}: holds something other than a page; name a new folder\n"
    assert capsys.readouterr().err == message
    assert [path.name for path in photos.iterdir()] == [name]


def test_bad_packages_are_one_line_and_no_folder(monkeypatch, capsys, package, tmp_path):
    site, dist = tmp_path / "site", package / "dist"
    (dist / "ort.wasm.min.mjs").write_text("// another version")
    for folder, message in (
        (package, f"{dist / 'ort.wasm.min.mjs'}: is not that of onnxruntime-web 1.30.0"),
        (tmp_path / "none", f"{tmp_path / 'none'}: no such folder (--onnxruntime_web)"),
        (dist.parent.parent, f"{tmp_path}: has no ort.wasm.min.mjs; expected the npm package"),
    ):
        assert call(monkeypatch, "--output", site, "--onnxruntime_web", folder) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {message}")
        assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


@pytest.mark.parametrize(
    ("npm", "message"),
    [
        (None, "npm is not installed: install Node.js, or name the unpacked onnxruntime-web"),
        ("fails", "npm cannot download onnxruntime-web 1.30.0: check the network, or name"),
        ("other", "npm cannot download onnxruntime-web 1.30.0: check the network, or name"),
    ],
)
def test_a_download_that_fails_is_one_line(monkeypatch, capsys, tmp_path, npm, message):
    def pack(command, cwd, **options):
        assert command[:3] == ["npm", "pack", "onnxruntime-web@1.30.0"]
        if npm == "fails":
            raise subprocess.CalledProcessError(1, command)
        (cwd / "other.tgz").write_bytes(b"no archive")

    monkeypatch.setattr(web.shutil, "which", lambda name: npm)
    monkeypatch.setattr(web.subprocess, "run", pack)
    assert call(monkeypatch, "--output", tmp_path / "site") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_models_that_the_page_cannot_show(monkeypatch, capsys, package, tmp_path):
    archive = read_archive(DEFAULT_WEIGHTS)
    partial, other = tmp_path / "partial.onnx.zip", tmp_path / "other.openvino.zip"
    replace(archive, tasks=("text_removal",)).write(partial)
    names = ("encoder.xml", "encoder.bin", "decoder.xml", "decoder.bin")
    replace(archive, format="openvino", files=dict.fromkeys(names, b"")).write(other)
    site = tmp_path / "site"
    for arguments, message in (
        ([partial], "the page needs the task text_segmentation; the model has text_removal"),
        ([other], f"{other}: holds openvino, the page runs onnx"),
        ([DEFAULT_WEIGHTS, partial], "an exported file has no mean with others"),
        ([tmp_path / "none.pth"], f"{tmp_path / 'none.pth'}: no such checkpoint"),
    ):
        options = ("--output", site, "--onnxruntime_web", package)
        assert call(monkeypatch, *arguments, *options) == 2
        assert message in capsys.readouterr().err
        assert not site.exists()


def test_the_option_of_the_page_is_for_the_page(monkeypatch, capsys, package, tmp_path):
    arguments = ["a.pth", "--format", "onnx", "--output", "a.onnx.zip"]
    assert call(monkeypatch, *arguments, "--onnxruntime_web", package) == 2
    assert "--onnxruntime_web is for --format web" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "--format", "onnx", "--output", "a.onnx.zip") == 2
    assert capsys.readouterr().err == "error: name a checkpoint\n"
