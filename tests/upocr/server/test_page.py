"""The page in headless Chromium, as a user meets it."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import browser as browsers
import numpy as np
import pytest
from own_images import Painter
from own_server import Gate, Running, encoded, running
from page_user import (
    READY,
    Doubtful,
    choose,
    decoded,
    drop,
    on_picture,
    set_format,
    set_threshold,
    shown,
    two_words,
)
from PIL import Image

import predict
from upocr import UPOCR

pytest.importorskip("fastapi", reason="the server's packages are not installed")
MISSING = browsers.missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=f"{MISSING} is not installed"),
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[browsers.Browser]:
    with browsers.open_browser(tmp_path_factory.mktemp("downloads")) as browser:
        yield browser


@pytest.fixture(scope="module")
def site() -> Iterator[Running]:
    with running(UPOCR(Doubtful())) as found:
        yield found


@pytest.fixture
def page(chromium, site) -> browsers.Browser:
    """The first page, in a large window."""
    chromium.resize(1280, 800)
    chromium.use_scheme("light")
    chromium.open(site.url)
    chromium.wait("document.querySelectorAll('#samples img').length === 3")
    chromium.log()
    return chromium


@pytest.fixture
def photo(tmp_path):
    """A file and what the command makes of it."""
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(two_words()))
    return path


@pytest.fixture
def command(monkeypatch, photo, tmp_path):
    monkeypatch.setattr(
        UPOCR, "from_pretrained", classmethod(lambda cls, *args, **options: UPOCR(Doubtful()))
    )

    def run(name: str, *options: str) -> bytes:
        arguments = [str(photo), "--output_dir", str(tmp_path / "out"), *options]
        assert predict.main(arguments) == 0
        return (tmp_path / "out" / name).read_bytes()

    return run


def test_drop_and_download_the_bytes_of_the_command(page, photo, command):
    drop(page, photo.read_bytes())
    page.wait(READY)
    page.click("#download")
    assert page.downloaded("photo.removed.png") == command("photo.removed.png")
    set_format(page, "removed.jpg")
    page.click("#download")
    assert page.downloaded("photo.removed.jpg") == command("photo.removed.jpg", "--format", "jpg")
    assert page.log() == []


def test_the_page_shows_the_pixels_of_the_command(page, photo, command):
    drop(page, photo.read_bytes())
    page.wait(READY)
    np.testing.assert_array_equal(shown(page), decoded(command("photo.removed.png")))


def test_threshold_reacts_at_once_and_downloads_exact_bytes(page, photo, command):
    drop(page, photo.read_bytes())
    page.wait(READY)
    set_threshold(page, 0.7)
    expected = command("photo.removed.png", "--threshold", "0.7")
    assert expected != command("photo.removed.png")
    np.testing.assert_array_equal(shown(page), decoded(expected))
    assert page.text("#threshold-value") == "70 %"
    page.click("#download")
    assert page.downloaded("photo.removed.png") == expected
    choose(page, "input[value=segment]")
    page.click("#download")
    expected = command("photo.mask.png", "--task", "text_segmentation", "--threshold", "0.7")
    assert page.downloaded("photo.mask.png") == expected


def test_only_here_not_here_and_undo(page, photo, command):
    drop(page, photo.read_bytes())
    page.wait(READY)
    everywhere = shown(page)
    page.click("#rectangle")
    page.drag(on_picture(page, 100, 10), on_picture(page, 190, 40))
    expected = command("photo.removed.png", "--region", "100,10,190,40")
    page.click("#download")
    assert page.downloaded("photo.removed.png") == expected
    page.click("#clear")
    np.testing.assert_array_equal(shown(page), everywhere)
    choose(page, "input[name=where][value='2']")
    page.drag(on_picture(page, 100, 10), on_picture(page, 190, 40))
    page.click("#brush")
    page.drag(on_picture(page, 40, 80), on_picture(page, 3, 80))
    page.click("#download")
    found = decoded(page.downloaded("photo.removed.png"))
    original = two_words()
    np.testing.assert_array_equal(found[10:40, 100:190], original[10:40, 100:190])
    np.testing.assert_array_equal(found[76:83, 6:29], original[76:83, 6:29])
    assert (found[38:46, 52:98] == (0, 0, 255)).all()  # the other word is erased
    page.click("#undo")
    page.click("#undo")
    assert page.run("return document.getElementById('undo').disabled")


def test_a_second_page_is_not_passed_over_in_silence(page):
    file = io.BytesIO()
    scan = Image.fromarray(two_words())
    scan.save(file, "TIFF", save_all=True, append_images=[scan])
    drop(page, file.getvalue(), "scan.tif")
    page.wait(READY)
    assert page.text("#remarks") == "Page 1 of 2; the command reads all pages."


def test_all_tasks_and_their_legend(page, photo, command):
    drop(page, photo.read_bytes())
    page.wait(READY)
    choose(page, "input[value=detect]")
    assert page.text("#legend").split() == ["Genuine", "0", "Tampered", "3"]
    page.wait_visible("threshold-group", False)
    page.click("#download")
    expected = command("photo.regions.json", "--task", "tampered_text_detection")
    assert page.downloaded("photo.regions.json") == expected
    choose(page, "input[value=segment]")
    assert page.text("#legend").startswith("Text")
    set_format(page, "cutout.png")
    page.click("#download")
    expected = command("photo.cutout.png", "--task", "text_segmentation", "--cutout", "true")
    assert page.downloaded("photo.cutout.png") == expected


def test_a_picture_that_the_browser_cannot_show_is_shown(page, photo):
    file = io.BytesIO()
    Image.fromarray(two_words()).save(file, "TIFF")
    drop(page, file.getvalue(), "scan.tif")
    page.wait(READY)
    assert (shown(page)[25, 150] == (0, 0, 255)).all()


def test_errors_are_readable_and_the_page_goes_on(page, photo, site):
    drop(page, b"no picture", "notes.txt")
    page.wait_visible("error")
    assert page.text("#error-text") == "notes.txt: not an image of a readable kind"
    page.wait_visible("start")
    page.click("#dismiss")
    page.wait_visible("error", False)
    drop(page, photo.read_bytes())
    page.wait(READY)
    drop(page, photo.read_bytes()[:20000], "broken.png")
    page.wait_visible("error")
    assert page.text("#error-text").startswith("broken.png: cannot read this image")


def test_progress_and_cancel(chromium, start, photo):
    gate = Gate()
    server = start(UPOCR(gate, batch_size=1))
    chromium.resize(1280, 800)
    chromium.open(server.url)
    chromium.wait("document.querySelectorAll('#samples img').length === 3")
    drop(chromium, photo.read_bytes())
    assert gate.entered.wait(60)
    chromium.wait_visible("busy")
    chromium.wait("document.getElementById('busy-text').textContent === '0 %'")
    (job,) = server.worker._jobs
    chromium.click("#cancel")
    assert job.is_cancelled.wait(60)
    chromium.wait_visible("start")
    chromium.wait_visible("error", False)
    gate.opened.set()
    drop(chromium, photo.read_bytes())
    chromium.wait(READY)


def test_a_server_that_is_gone_is_named(chromium, site, photo):
    with running(UPOCR(Painter())) as server:
        chromium.open(server.url)
        chromium.wait("document.querySelectorAll('#samples img').length === 3")
    drop(chromium, photo.read_bytes())
    chromium.wait_visible("error")
    assert chromium.text("#error-text") == "The server cannot be reached."
    chromium.wait_visible("again")


def test_zoom_by_keyboard_and_buttons(page, photo):
    drop(page, photo.read_bytes())
    page.wait(READY)
    assert page.text("#size") == "200 %"
    page.keys("1")
    page.wait("document.getElementById('size').textContent === '100 %'")
    page.click("#in")
    page.wait("document.getElementById('size').textContent === '125 %'")
    page.keys("0")
    page.wait("document.getElementById('size').textContent === '200 %'")


def test_keyboard_reaches_everything(page):
    """From the first page to the download with Tab, Enter and the arrow keys alone."""
    order = []
    for _ in range(20):
        page.keys("\ue004")  # Tab
        order.append(page.run("return document.activeElement.id || document.activeElement.tagName"))
        if order[-1] == "file":
            break
    page.keys("\ue004", "\ue007")  # the first sample, Enter
    page.wait(READY)
    reached = []
    for _ in range(30):
        page.keys("\ue004")
        reached.append(page.run("return document.activeElement.id"))
    expected = ["view", "split", "out", "size", "in", "threshold", "brush", "rectangle", "download"]
    places = [reached.index(name) for name in expected]
    if places != sorted(places):  # the focus began in the middle: it goes round
        places = [reached.index(name, places[0]) for name in expected]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [320, 360, 768, 1280, 1920])
def test_nothing_overflows_at_any_width(page, photo, width):
    page.resize(width, 740, mobile=width < 800)
    page.open(page.run("return location.href"))
    page.wait("document.querySelectorAll('#samples img').length === 3")
    fits = f"Math.max(innerWidth, document.documentElement.scrollWidth) <= {width}"
    assert page.run(f"return {fits}")
    assert page.run("return start.scrollWidth <= start.clientWidth")
    drop(page, photo.read_bytes())
    page.wait(READY)
    for task in ("remove", "segment", "detect"):
        choose(page, f"input[value={task}]")
        assert page.run(f"return {fits}")
        box = page.run(
            "const r = download.getBoundingClientRect(); return [r.left, r.right, r.bottom]"
        )
        assert 0 <= box[0] < box[1] <= width
        assert box[2] <= 740
    page.click("#download")
    assert page.downloaded("photo.regions.json")


def test_every_control_has_a_name(page, photo):
    def unnamed() -> list[str]:
        nodes = page.devtools("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "slider", "radio", "combobox", "link", "image", "progressbar", "group")
        return [
            node["role"]["value"]
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in roles
            and not node.get("name", {}).get("value")
        ]

    assert unnamed() == []
    drop(page, photo.read_bytes())
    page.wait(READY)
    assert unnamed() == []


@pytest.mark.skipif("AXE" not in os.environ, reason="AXE names no axe.min.js of axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(page, photo, scheme):
    axe = Path(os.environ["AXE"]).read_text(encoding="utf-8")

    def violations() -> list[str]:
        page.run(axe)
        found = page.run("return axe.run(document).then((results) => results.violations)")
        return [f"{each['id']}: {node['target']}" for each in found for node in each["nodes"]]

    page.use_scheme(scheme)
    assert violations() == []
    drop(page, photo.read_bytes())
    page.wait(READY)
    for task in ("remove", "segment", "detect"):
        choose(page, f"input[value={task}]")
        assert violations() == []
    drop(page, b"no picture")
    page.wait("document.getElementById('error')?.checkVisibility()")
    assert violations() == []


def test_the_page_of_the_api_lists_the_routes(page, site):
    page.open(f"{site.url}/docs")
    page.wait("document.querySelectorAll('article').length === 6")
    assert "POST/v1/remove" in page.text("main").replace(" ", "").replace("\n", "")
    assert page.log() == []


def test_no_request_leaves_for_another_host(page, photo, site):
    drop(page, photo.read_bytes())
    page.wait(READY)
    urls = page.run("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert urls
    assert all(url.startswith((site.url, "blob:")) for url in urls)
