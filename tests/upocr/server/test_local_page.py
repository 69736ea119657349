"""The page without a server in headless Chromium: its engine does what the package does."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import browser as browsers
import numpy as np
import pytest
from own_images import Painter
from own_server import encoded
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
from static_site import ISOLATION, Host, hosted, runtime, write_package

from tools import web
from tools.export import export
from upocr import UPOCR
from upocr.backends.archive import Archive, Half

MISSING = browsers.missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=f"{MISSING} is not installed"),
]
PACKAGE = os.environ.get("UPOCR_ONNXRUNTIME_WEB")
SAMPLE = Path(web.STATIC) / "samples" / "street.jpg"
FALLBACK = "No available adapters."  # Chromium's word on a machine without a graphics processor


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[browsers.Browser]:
    with browsers.open_browser(tmp_path_factory.mktemp("downloads")) as browser:
        yield browser


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A page whose runtime paints as `Doubtful` does, with windows of 64 pixels."""
    folder = tmp_path_factory.mktemp("exported")
    files = {name: "binary" if name.endswith(".wasm") else runtime() for name in web.SUMS}
    graphs = {"encoder.onnx": b"encoder", "decoder.onnx": b"decoder"}
    model, halves = Doubtful(), (Half((2,) * 4, 8), Half((2,) * 5, 8))
    archive = Archive("onnx", model.tasks, 64, model.verdict, *halves, "float32", "", graphs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "SUMS", write_package(folder / "package", files))
        patch.setattr(web.onnxruntime, "from_archive", lambda archive, path: model)
        web.export_site(archive, folder / "site", folder / "package")
    return folder / "site"


@pytest.fixture
def host(exported, tmp_path) -> Iterator[Host]:
    """A host of a page of its own, which a test may change."""
    shutil.copytree(exported, tmp_path / "site")
    with hosted(tmp_path / "site") as found:
        yield found


def opened(chromium: browsers.Browser, host: Host) -> browsers.Browser:
    chromium.resize(1280, 800)
    chromium.devtools("Network.clearBrowserCache")
    chromium.open(host.url)
    images = "[...document.querySelectorAll('#samples img')]"
    chromium.wait(f"{images}.filter((each) => each.complete).length === 3")
    chromium.log()
    return chromium


@pytest.fixture
def page(chromium, host) -> browsers.Browser:
    return opened(chromium, host)


@pytest.fixture
def photo() -> bytes:
    return encoded(two_words())


def expected(**options) -> dict:
    return UPOCR(Doubtful()).run(two_words(), **options)


def test_the_page_says_where_pictures_stay(page, host):
    assert page.text("#note") == "Pictures stay on this device."
    page.wait_visible("api", False)
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_the_download_has_the_pixels_of_the_package(page, photo):
    drop(page, photo)
    page.wait(READY)
    page.click("#download")
    removed = expected()["text_removal"].image
    np.testing.assert_array_equal(decoded(page.downloaded("photo.removed.png")), removed)
    np.testing.assert_array_equal(shown(page), removed)
    set_format(page, "removed.jpg")
    page.click("#download")
    jpeg = Image.open(io.BytesIO(page.downloaded("photo.removed.jpg")))
    assert jpeg.format == "JPEG"
    grey = np.array(Image.fromarray(removed).convert("L")).astype(int)
    assert abs(np.array(jpeg.convert("L")) - grey).mean() < 4
    assert [line for line in page.log() if FALLBACK not in line] == []


def test_threshold_and_region_act_at_once_and_on_the_download(page, photo, host):
    drop(page, photo)
    page.wait(READY)
    gates = len(host.gates)
    set_threshold(page, 0.7)
    less = expected(threshold=0.7)["text_removal"].image
    assert (less != expected()["text_removal"].image).any()
    np.testing.assert_array_equal(shown(page), less)
    set_threshold(page, 0.4)
    page.click("#rectangle")
    page.drag(on_picture(page, 100, 10), on_picture(page, 190, 40))
    page.click("#download")
    there = expected(region=(100, 10, 190, 40))["text_removal"].image
    np.testing.assert_array_equal(decoded(page.downloaded("photo.removed.png")), there)
    assert len(host.gates) == gates  # the network did not run again


def test_files_of_the_other_tasks(page, photo):
    drop(page, photo)
    page.wait(READY)
    found = expected()
    choose(page, "input[value=detect]")
    assert page.text("#legend").split() == ["Genuine", "0", "Tampered", "3"]
    page.click("#download")
    regions = json.loads(page.downloaded("photo.regions.json"))
    detection = found["tampered_text_detection"]
    ours = [json.loads(json.dumps(each.as_dict())) for each in detection.regions]
    assert regions == {"width": 200, "height": 150, "regions": ours}
    set_format(page, "classes.png")
    page.click("#download")
    classes = decoded(page.downloaded("photo.classes.png"))
    np.testing.assert_array_equal(classes, detection.task.class_picture(detection.classes))
    choose(page, "input[value=segment]")
    set_threshold(page, 0.7)
    page.click("#download")
    mask = expected(threshold=0.7)["text_segmentation"].mask
    np.testing.assert_array_equal(decoded(page.downloaded("photo.mask.png"))[:, :, 0], mask)
    set_format(page, "cutout.png")
    page.click("#download")
    cutout = np.array(Image.open(io.BytesIO(page.downloaded("photo.cutout.png"))))
    np.testing.assert_array_equal(cutout[:, :, 3], mask)
    np.testing.assert_array_equal(cutout[mask > 0, :3], two_words()[mask > 0])


def test_alpha_is_kept(page):
    image = np.dstack([two_words(), np.full((150, 200), 255, np.uint8)])
    image[60:, :60, 3] = 0
    drop(page, encoded(image))
    page.wait(READY)
    page.click("#download")
    removed = np.array(Image.open(io.BytesIO(page.downloaded("photo.removed.png"))))
    np.testing.assert_array_equal(removed[:, :, 3], image[:, :, 3])
    assert (removed[25, 130:170] == (0, 0, 255, 255)).all()


def test_nothing_is_sent(page, photo, host):
    drop(page, photo)
    page.wait(READY)
    assert {request.split()[0] for request in host.requests} == {"GET"}
    assert not any("?" in request for request in host.requests)
    host.requests.clear()
    drop(page, photo, "second.png")
    page.wait("document.getElementById('view').getAttribute('aria-label').includes('second')")
    page.wait(READY)
    choose(page, "input[value=detect]")
    page.click("#download")
    assert page.downloaded("second.regions.json")
    assert host.requests == []  # all files are there
    urls = page.run("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert all(url.startswith((host.url, "blob:")) for url in urls)


def test_other_hosts_are_out_of_reach(page):
    blocked = """return fetch("http://localhost:1/").then(() => "sent", () => "blocked");"""
    assert page.run(blocked) == "blocked"
    assert any("Content Security Policy" in line for line in page.log())


def test_progress_and_cancel(page, photo, host):
    host.gate.clear()
    drop(page, photo)
    page.wait("document.getElementById('busy-text').textContent === '0 %'")
    page.click("#cancel")
    page.wait_visible("start")
    page.wait_visible("error", False)
    asked = len(host.gates)
    host.gate.set()
    drop(page, photo, "second.png")
    page.wait(READY)
    # Of the first picture one graph ended; of the second, every window runs three tasks.
    assert len(host.gates) - asked == 3 * UPOCR(Painter()).num_windows((150, 200))
    page.click("#download")
    removed = decoded(page.downloaded("second.removed.png"))
    np.testing.assert_array_equal(removed, expected()["text_removal"].image)


@pytest.mark.parametrize("is_isolated", [False, True])
def test_threads_where_the_host_permits_them(chromium, host, photo, is_isolated):
    host.headers = ISOLATION if is_isolated else {}
    page = opened(chromium, host)
    cores = page.run("return navigator.hardwareConcurrency")
    drop(page, photo)
    page.wait(READY)
    threads = min(8, cores) if is_isolated else 1
    assert set(host.gates) == {f"/gate?provider=wasm&threads={threads}"}


def test_errors_are_readable_and_the_page_goes_on(page, photo, host):
    drop(page, b"no picture", "notes.txt")
    page.wait_visible("error")
    assert page.text("#error-text") == "This browser cannot read notes.txt."
    page.wait_visible("again", False)
    drop(page, photo)
    page.wait(READY)


def test_large_pictures_are_refused(chromium, host, photo):
    path = host.folder / "model.json"
    model = json.loads(path.read_text())
    assert model["limits"]["max_pixels"] == 25_000_000
    model["limits"]["max_pixels"] = 2_000_000
    path.write_text(json.dumps(model))
    page = opened(chromium, host)
    drop(page, encoded(np.zeros((1500, 2000, 3), np.uint8)))
    page.wait_visible("error")
    message = "The picture has 3 million pixels; the limit is 2 million."
    assert page.text("#error-text") == message
    drop(page, photo)
    page.wait(READY)


@pytest.mark.parametrize("name", ["model.zip", "onnxruntime/ort.wasm.min.mjs"])
def test_files_that_do_not_arrive_can_be_asked_for_again(chromium, host, photo, name, tmp_path):
    (host.folder / name).rename(tmp_path / "away")
    page = opened(chromium, host)
    drop(page, photo)
    page.wait_visible("error")
    assert page.text("#error-text") == "The model cannot be loaded."
    (tmp_path / "away").rename(host.folder / name)
    page.click("#again")
    page.wait(READY)


def test_a_damaged_model_is_named(chromium, host, photo):
    path = host.folder / "model.zip"
    path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    page = opened(chromium, host)
    drop(page, photo)
    page.wait_visible("error")
    assert page.text("#error-text") == "The model is damaged."


@pytest.mark.parametrize(
    ("fault", "providers"),
    [("none", "webgpu"), ("wrong", "webgpu wasm"), ("breaks", "webgpu wasm")],
)
def test_a_graphics_processor_must_compute_correctly(chromium, host, photo, fault, providers):
    worker = host.folder / "static/local/worker.js"
    adapter = """Object.defineProperty(navigator, "gpu",
      { value: { requestAdapter: async () => ({ info: {} }) } });"""
    worker.write_text(worker.read_text() + adapter)
    (host.folder / "onnxruntime/ort.jspi.min.mjs").write_text(runtime(fault))
    path = host.folder / "model.json"
    path.write_text(path.read_text().replace('"window": 64', '"window": 96'))
    page = opened(chromium, host)
    drop(page, photo)
    page.wait(READY)
    used = {gate.partition("provider=")[2].partition("&")[0]: None for gate in host.gates}
    assert list(used) == providers.split()
    removed = UPOCR(Doubtful(), window=96).run(two_words())["text_removal"].image
    page.click("#download")
    np.testing.assert_array_equal(decoded(page.downloaded("photo.removed.png")), removed)


@pytest.mark.skipif(
    not PACKAGE, reason="UPOCR_ONNXRUNTIME_WEB names no unpacked onnxruntime-web (docs/server.md)"
)
@pytest.mark.parametrize("is_isolated", [False, True])
def test_the_shipped_model_in_the_browser(chromium, tmp_path, is_isolated, monkeypatch):
    monkeypatch.setattr(browsers, "PATIENCE", 300)
    export([], tmp_path / "site", "float32", format="web", runtime=Path(PACKAGE))
    source = Image.open(SAMPLE).convert("RGB").crop((280, 180, 860, 480))
    model = UPOCR.from_pretrained(backend="onnxruntime")
    found = model.run(source)
    with hosted(tmp_path / "site") as host:
        host.headers = ISOLATION if is_isolated else {}
        page = opened(chromium, host)
        drop(page, encoded(np.array(source)))
        page.wait(READY)
        page.click("#download")
        removed = decoded(page.downloaded("photo.removed.png")).astype(int)
        assert abs(removed - found["text_removal"].image).max() <= 1
        assert (removed != np.array(source)).any()
        choose(page, "input[value=segment]")
        page.click("#download")
        mask = decoded(page.downloaded("photo.mask.png"))[:, :, 0]
        assert (mask != found["text_segmentation"].mask).mean() < 1e-4
        assert [line for line in page.log() if FALLBACK not in line] == []
