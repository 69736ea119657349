"""benchmarks.browser: the page of the benchmark, its answer, and bad input."""

import queue
import shutil
import sys

import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed")

import httpx
from own_images import Painter
from PIL import Image

from benchmarks import browser
from upocr import UPOCR
from utils.cli import run

MISSING = None if shutil.which(browser.CHROMIUM) else browser.CHROMIUM


@pytest.fixture
def folder(tmp_path):
    """Pictures, page and script of a benchmark."""
    assert browser.prepare(tmp_path, [40, 60], 2) == ["40.jpg", "60.jpg"]
    return tmp_path


def test_every_size_is_repeated_after_a_first_picture(folder):
    assert Image.open(folder / "60.jpg").size == (60, 60)
    order = '["40.jpg", "40.jpg", "60.jpg", "40.jpg", "60.jpg"]'
    assert f"of {order})" in (folder / "page.js").read_text().replace("'", '"')


def test_the_page_lies_beside_the_site_with_its_headers(folder, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "model.json").write_text("{}")
    answers = queue.Queue()
    app = browser.with_benchmark(browser.static_app(site, browser.THREADS), folder, answers)
    with browser.served(app) as address:
        assert "/benchmark/page.js" in httpx.get(f"{address}/benchmark/").text
        answer = httpx.get(f"{address}/model.json")
        httpx.post(f"{address}/benchmark/answer", json={"runs": "wasm"})
    assert answer.json() == {}
    assert (
        browser.THREADS.items()
        <= {name.title(): value for name, value in answer.headers.items()}.items()
    )
    assert answers.get_nowait() == {"runs": "wasm"}


@pytest.mark.slow
@pytest.mark.skipif(MISSING is not None, reason=f"{MISSING} is not installed")
def test_pictures_are_timed_in_the_browser(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        UPOCR, "from_pretrained", classmethod(lambda cls, **options: UPOCR(Painter()))
    )
    with browser.server_app() as app:
        found = browser.measure(app, folder)
    assert found["runs"] == "server"
    assert {name: len(times) for name, times in found["seconds"].items()} == {
        "40.jpg": 3,
        "60.jpg": 2,
    }
    assert all(each > 0 for times in found["seconds"].values() for each in times)
    with pytest.raises(ValueError, match="the page failed"):
        browser.measure(browser.static_app(tmp_path, {}), folder)


def test_a_folder_without_a_page_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["browser.py", "--site", str(tmp_path)])
    monkeypatch.setattr(browser.shutil, "which", lambda name: name)
    with pytest.raises(SystemExit) as stop:
        run(browser.main)
    assert stop.value.code == 2
    message = f"error: {tmp_path}: no page of tools.export --format web\n"
    assert capsys.readouterr().err == message
