"""The API: the bytes of the command, limits, errors, cancellation, nothing on disk."""

import base64
import io
import json
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from own_images import Painter
from own_server import Gate, encoded, noise_with_text
from PIL import Image

import predict
from upocr import UPOCR

pytest.importorskip("fastapi", reason="the server's packages are not installed")
httpx = pytest.importorskip("httpx")

COMMANDS = {
    "remove": "text_removal",
    "segment": "text_segmentation",
    "detect": "tampered_text_detection",
}


def post(url: str, route: str, content: bytes, name: str = "photo.png", **fields):
    """A request as curl sends it."""
    files = {"image": (name, content)}
    files |= {key: fields.pop(key) for key in list(fields) if isinstance(fields[key], tuple)}
    return httpx.post(f"{url}/v1/{route}", files=files, data=fields, timeout=60)


def post_events(url: str, route: str, content: bytes, **fields) -> list[tuple[str, dict]]:
    """Name and data of all events of a request."""
    headers = {"Accept": "text/event-stream"}
    files = {"image": ("photo.png", content)}
    response = httpx.post(
        f"{url}/v1/{route}", files=files, data=fields, headers=headers, timeout=60
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in response.text.split("\n\n") if block and block[0] != ":"]
    pairs = [block.split("\n", 1) for block in blocks]
    return [(name[len("event: ") :], json.loads(data[len("data: ") :])) for name, data in pairs]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs predict.py on a picture and returns its files by their names."""
    monkeypatch.setattr(
        UPOCR, "from_pretrained", classmethod(lambda cls, *args, **options: UPOCR(Painter()))
    )

    def run(content: bytes, *options: str, name: str = "photo.png") -> dict[str, bytes]:
        (tmp_path / name).write_bytes(content)
        output = tmp_path / "out"
        arguments = [str(tmp_path / name), "--output_dir", str(output), *options]
        assert predict.main(arguments) == 0
        return {path.name: path.read_bytes() for path in output.iterdir()}

    return run


@contextmanager
def written_files() -> Iterator[list[str]]:
    """Paths that this process opens for writing."""
    found: list[str] = []
    listening = [True]

    def hook(event: str, arguments: tuple) -> None:
        if listening[0] and event == "open":
            path, mode, flags = arguments
            if (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & 3:
                found.append(str(path))

    sys.addaudithook(hook)
    try:
        yield found
    finally:
        listening[0] = False


# Answers


@pytest.mark.parametrize(("format", "suffix"), [("JPEG", "jpg"), ("WEBP", "webp"), ("GIF", "gif")])
def test_pictures_of_every_kind_are_read(server, command, format, suffix):
    content, name = encoded(noise_with_text(), format), f"photo.{suffix}"
    found = post(server.url, "remove", content, name=name)
    assert found.status_code == 200, found.text
    assert found.content == command(content, name=name)["photo.removed.png"]


@pytest.mark.parametrize(
    ("route", "fields", "options", "ending"),
    [
        ("remove", {}, [], "removed.png"),
        ("remove", {"format": "jpg"}, ["--format", "jpg"], "removed.jpg"),
        ("remove", {"format": "webp"}, ["--format", "webp"], "removed.webp"),
        ("remove", {"format": "same"}, ["--format", "same"], "removed.png"),
        ("remove", {"dilation": "9"}, ["--dilation", "9"], "removed.png"),
        ("remove", {"region": "20,20,90,60"}, ["--region", "20,20,90,60"], "removed.png"),
        ("remove", {"composite": "difference"}, ["--composite", "difference"], "removed.png"),
        ("segment", {}, [], "mask.png"),
        ("segment", {"output": "probability.png"}, [], "probability.png"),
        ("segment", {"output": "cutout.png"}, ["--cutout", "true"], "cutout.png"),
        ("segment", {"decision": "pixel"}, ["--decision", "pixel"], "mask.png"),
        ("detect", {}, [], "regions.json"),
        ("detect", {"output": "classes.png"}, [], "classes.png"),
        ("detect", {"min_area": "300"}, ["--min_area", "300"], "regions.json"),
    ],
)
def test_bytes_are_those_of_the_command(server, upload, command, route, fields, options, ending):
    response = post(server.url, route, upload, **fields)
    assert response.status_code == 200, response.text
    files = command(upload, "--task", COMMANDS[route], *options)
    assert response.content == files[f"photo.{ending}"]
    assert response.headers["content-disposition"].endswith(f"photo.{ending}")


def test_region_as_a_mask_image(server, upload, command, tmp_path):
    mask = np.zeros((150, 200), np.uint8)
    mask[30:60, 40:90] = 255
    (tmp_path / "mask.png").write_bytes(encoded(mask))
    response = post(server.url, "remove", upload, region=("mask.png", encoded(mask)))
    files = command(upload, "--region", str(tmp_path / "mask.png"))
    assert response.content == files["photo.removed.png"]
    assert response.content != post(server.url, "remove", upload).content


def test_zip_holds_the_files_of_the_command(server, upload, command):
    archive = zipfile.ZipFile(io.BytesIO(post(server.url, "all", upload).content))
    files = command(upload, "--task", "all")
    overlays = {name for name in files if "overlay" in name}
    assert set(archive.namelist()) == set(files) - overlays - {"results.json"}
    for name in archive.namelist():
        assert archive.read(name) == files[name], name


def test_json_has_figures_regions_and_files(server, upload):
    fields = {"output": "json", "include": "removed.jpg, probability.png, painted.png"}
    found = post(server.url, "all", upload, **fields).json()
    assert (found["name"], found["width"], found["height"]) == ("photo", 200, 150)
    assert set(found["tasks"]) == set(COMMANDS.values())
    assert {region["class"] for region in found["regions"]} == {"tampered"}
    removed = post(server.url, "remove", upload, format="jpg").content
    assert base64.b64decode(found["files"]["removed.jpg"]["data"]) == removed
    assert found["files"]["probability.png"]["type"] == "image/png"
    painted = np.array(
        Image.open(io.BytesIO(base64.b64decode(found["files"]["painted.png"]["data"])))
    )
    text = (noise_with_text() == (255, 0, 0)).all(axis=2)
    assert (painted[text] == (0, 0, 255)).all()
    assert (painted[0] == 0).all()  # far from text


def test_16_bits_profile_and_pages(server, command):
    pages = [Image.fromarray(noise_with_text(seed=seed)) for seed in (0, 1)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    files = command(file.getvalue(), name="scan.tif")
    for page in (1, 2):
        response = post(server.url, "remove", file.getvalue(), "scan.tif", page=str(page))
        assert response.content == files[f"scan.page{page}.removed.png"]
        answer = post(
            server.url, "remove", file.getvalue(), "scan.tif", page=str(page), output="json"
        )
        assert answer.json()["notes"] == [f"Page {page} of 2; the command reads all pages"]
    problem = post(server.url, "remove", file.getvalue(), "scan.tif", page="3")
    assert (problem.status_code, problem.json()) == (422, {"error": "scan.tif has no page 3."})


def test_events_tell_the_progress_and_end_with_the_result(server, upload):
    found = post_events(server.url, "segment", upload, include="mask.png")
    names = [name for name, _ in found]
    assert set(names[:-1]) <= {"queue", "progress"}
    assert names[-1] == "result"
    progress = [data["done"] for name, data in found if name == "progress"]
    assert progress == sorted(progress)
    total = server.model.num_windows((150, 200))
    assert {data["total"] for name, data in found if name == "progress"} <= {total}
    mask = base64.b64decode(found[-1][1]["files"]["mask.png"]["data"])
    assert mask == post(server.url, "segment", upload).content


def test_a_name_cannot_leave_its_folder_nor_break_a_header(server, upload):
    for name in ("../../etc/passwd.png", "C:\\photos\\passwd.png"):
        response = post(server.url, "remove", upload, name)
        assert response.headers["content-disposition"].endswith("''passwd.removed.png")
    assert post(server.url, "remove", upload, 'é "quoted";\n.png').status_code == 200


# Problems


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"threshold": "2"}, "The field 'threshold' is '2': input should be less than or equal"),
        ({"threshold": "high"}, "The field 'threshold' is 'high': input should be a valid number"),
        ({"threshold": "nan"}, "The field 'threshold' is 'nan'"),
        ({"dilation": "1000"}, "The field 'dilation' is '1000'"),
        ({"format": "exe"}, "The field 'format' is 'exe': input should be 'png', 'jpg'"),
        ({"region": "1,2,3"}, "The field 'region' is '1,2,3': expected x1,y1,x2,y2"),
        ({"region": "/etc/hostname"}, "The field 'region' is '/etc/hostname'"),
        ({"region": "0,0,900,900"}, "region 0,0,900,900 is not inside the image of 200 x 150"),
        ({"region": ("mask.png", encoded(np.zeros((5, 5), np.uint8)))}, "the region mask is 5 x 5"),
        ({"region": ("mask.png", b"text")}, "mask.png: not an image of a readable kind"),
        ({"output": "mask.png"}, "Unknown file 'mask.png', expected one of removed.png, "),
        ({"include": "regions.json"}, "Unknown file 'regions.json'"),
        ({"treshold": "0.5"}, "Unknown field 'treshold', expected one of output, "),
    ],
)
def test_wrong_options_are_named(server, upload, fields, sentence):
    response = post(server.url, "remove", upload, **fields)
    expected = 415 if "readable kind" in sentence else 422
    assert response.status_code == expected, response.text
    assert response.json()["error"].startswith(sentence)


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 415, "photo.png: is empty"),
        (b"notes", 415, "photo.png: not an image of a readable kind"),
        (encoded(noise_with_text())[:5000], 422, "photo.png: cannot read this image"),
    ],
)
def test_broken_pictures(server, content, status, sentence):
    response = post(server.url, "remove", content)
    assert response.status_code == status
    assert response.json()["error"].startswith(sentence)
    ((name, data),) = [
        each for each in post_events(server.url, "remove", content) if "error" in each
    ]
    assert (name, data["status"]) == ("error", status)
    assert data["error"].startswith(sentence)


def test_forms_that_are_none(server, upload):
    url = f"{server.url}/v1/remove"
    response = httpx.post(url, content=upload, headers={"Content-Type": "image/png"})
    assert (response.status_code, "multipart" in response.json()["error"]) == (415, True)
    response = httpx.post(url, data={"threshold": "0.5"}, files={"picture": upload})
    assert (response.status_code, "'image'" in response.json()["error"]) == (422, True)
    headers = {"Content-Type": "multipart/form-data"}
    response = httpx.post(url, content=b"x", headers=headers)
    assert (response.status_code, "boundary" in response.json()["error"]) == (422, True)
    response = httpx.post(url, files=[("image", upload), ("image", upload)])
    assert (response.status_code, "twice" in response.json()["error"]) == (422, True)


def test_unknown_paths_and_methods(server):
    assert httpx.get(f"{server.url}/v1/translate").json() == {
        "error": "GET /v1/translate: not found."
    }
    response = httpx.get(f"{server.url}/v1/remove")
    assert (response.status_code, list(response.json())) == (405, ["error"])


def test_limits_of_bytes_and_pixels(start, upload):
    server = start(UPOCR(Painter()), max_bytes=len(upload) + 1000, max_pixels=40_000)
    assert post(server.url, "remove", upload).status_code == 200
    response = post(server.url, "remove", upload + bytes(2000))
    assert response.status_code == 413
    assert response.json()["error"].startswith("The request is larger than the limit of ")
    small_file = encoded(np.zeros((300, 300, 3), np.uint8))
    response = post(server.url, "remove", small_file)
    assert response.status_code == 413
    expected = "photo.png: 300 x 300 pixels are more than the limit of 40000"
    assert response.json()["error"] == expected


def test_a_task_that_the_model_lacks(start, upload):
    model = UPOCR(Painter())
    model.backend.tasks = ("text_segmentation",)
    server = start(model)
    response = post(server.url, "remove", upload)
    assert response.status_code == 422
    assert response.json()["error"] == "The model was trained on text_segmentation only."
    assert httpx.get(f"{server.url}/v1/model").json()["tasks"] == {"segment": "text_segmentation"}
    archive = zipfile.ZipFile(io.BytesIO(post(server.url, "all", upload).content))
    assert archive.namelist() == ["photo.mask.png", "photo.probability.png", "photo.words.json"]


def test_bugs_are_answered_and_logged(start, upload, caplog):
    class Broken(Painter):
        def predict(self, images, tasks):
            raise ZeroDivisionError

    server = start(UPOCR(Broken()))
    response = post(server.url, "remove", upload)
    assert (response.status_code, list(response.json())) == (500, ["error"])
    assert post_events(server.url, "remove", upload)[-1][1]["status"] == 500
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}


# The line of requests


def in_background(function, *args, **kwargs) -> tuple[threading.Thread, list]:
    """Call in a thread; the list receives the answer."""
    answers: list = []
    thread = threading.Thread(target=lambda: answers.append(function(*args, **kwargs)))
    thread.start()
    return thread, answers


def wait_until(condition) -> None:
    """Poll; a test that waits in vain fails."""
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never true")


def test_a_full_line_is_429_and_the_others_are_answered(start, upload):
    gate = Gate()
    server = start(UPOCR(gate), max_queue=2)
    threads = [in_background(post, server.url, "remove", upload) for _ in range(2)]
    wait_until(lambda: len(server.worker._jobs) == 2)
    response = post(server.url, "remove", upload)
    assert (response.status_code, response.headers["retry-after"]) == (429, "5")
    assert "later" in response.json()["error"]
    gate.opened.set()
    for thread, answers in threads:
        thread.join()
        assert answers[0].status_code == 200
    assert post(server.url, "remove", upload).status_code == 200


def test_the_time_limit_is_503(start, upload):
    server = start(UPOCR(Painter()), time_limit=1e-9)
    response = post(server.url, "remove", upload)
    assert response.status_code == 503
    expected = "The picture takes longer than the time limit of this server."
    assert response.json() == {"error": expected}


def test_a_request_that_never_arrives_is_408(start, upload):
    server = start(UPOCR(Painter()), upload_time=0.1, max_queue=1)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 408")
    assert post(server.url, "remove", upload).status_code == 200  # its place is free


def test_a_client_that_leaves_while_it_sends_is_no_bug(start, upload, caplog):
    server = start(UPOCR(Painter()), max_queue=1)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
        )
        wait_until(lambda: server.worker._places)
    wait_until(lambda: not server.worker._places)
    assert post(server.url, "remove", upload).status_code == 200
    assert not caplog.records


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_a_client_that_leaves_stops_the_work(start, upload, accept):
    gate = Gate()
    server = start(UPOCR(gate, batch_size=1), max_queue=1)
    assert server.model.num_windows((150, 200)) > 10
    request = httpx.Request("POST", f"{server.url}/v1/all", files={"image": upload})
    request.headers["Accept"] = accept
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(["POST /v1/all HTTP/1.1", *lines, "", ""]).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head + request.read())
        assert gate.entered.wait(60)
        (job,) = server.worker._jobs
    assert job.is_cancelled.wait(60)
    gate.opened.set()
    wait_until(lambda: not server.worker._jobs)
    assert gate.steps == 1
    assert post(server.url, "remove", upload).status_code == 200


def test_those_who_wait_see_how_many_are_ahead(start, upload):
    gate = Gate()
    server = start(UPOCR(gate))
    first, _ = in_background(post, server.url, "remove", upload)
    assert gate.entered.wait(60)
    second, answers = in_background(post_events, server.url, "remove", upload)
    wait_until(lambda: len(server.worker._jobs) == 2)
    threading.Event().wait(0.1)
    gate.opened.set()
    first.join()
    second.join()
    assert answers[0][0] == ("queue", {"ahead": 1})
    assert answers[0][-1][0] == "result"


def test_stopping_finishes_what_runs_and_turns_away_who_waits(start, upload):
    gate = Gate()
    server = start(UPOCR(gate))
    first, finished = in_background(post, server.url, "remove", upload)
    assert gate.entered.wait(60)
    second, turned_away = in_background(post, server.url, "remove", upload)
    wait_until(lambda: len(server.worker._jobs) == 2)
    server.worker.stop()
    assert post(server.url, "remove", upload).status_code == 503
    gate.opened.set()
    first.join()
    second.join()
    assert finished[0].status_code == 200
    assert turned_away[0].status_code == 503
    assert turned_away[0].json() == {"error": "The server is stopping."}


# Privacy and safety


def test_nothing_is_written_to_disk(server):
    large = encoded(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8))
    assert len(large) > 2_000_000  # what forms usually put on disk
    with written_files() as found:
        for route in (*COMMANDS, "all"):
            assert post(server.url, route, large).status_code == 200
        deep = noise_with_text().astype(np.uint16) * 257
        assert post(server.url, "remove", tiff(deep), "deep.tif", format="same").status_code == 200
    assert [path for path in found if not path.startswith("/dev/")] == []


def tiff(array: np.ndarray) -> bytes:
    import tifffile  # noqa: PLC0415

    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="rgb")
    return file.getvalue()


def test_other_sites_and_other_names_are_refused(server, upload):
    url = f"{server.url}/v1/remove"
    files = {"image": upload}
    response = httpx.post(url, files=files, headers={"Sec-Fetch-Site": "cross-site"})
    assert (response.status_code, list(response.json())) == (403, ["error"])
    response = httpx.get(f"{server.url}/", headers={"Host": "evil.example"})
    assert response.status_code == 403
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert httpx.get(f"{server.url}/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),  # a browser without Sec-Fetch-Site
        ({"Origin": "null"}, 403),  # a file, or a frame in a sandbox
        ({"Origin": "{url}"}, 200),
        # Behind a proxy that changes the host, the browser knows better.
        ({"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_the_origin_tells_of_other_sites(server, upload, headers, status):
    headers = {name: value.format(url=server.url) for name, value in headers.items()}
    response = httpx.post(f"{server.url}/v1/remove", files={"image": upload}, headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js", "/healthz", "/nothing"])
def test_every_answer_has_the_policy(server, path):
    policy = httpx.get(server.url + path).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_openapi_describes_every_field(server):
    found = httpx.get(f"{server.url}/openapi.json").json()
    assert set(found["paths"]) == {
        *(f"/v1/{route}" for route in (*COMMANDS, "all", "model")),
        "/healthz",
    }
    body = found["paths"]["/v1/remove"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert body["schema"]["required"] == ["image"]
    assert all(field["description"] for field in body["schema"]["properties"].values())
    assert set(found["paths"]["/v1/all"]["post"]["responses"]) >= {
        "200",
        "413",
        "415",
        "422",
        "429",
    }


def test_the_page_names_no_other_host():
    static = Path(predict.__file__).parent / "upocr" / "server" / "static"
    for path in static.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".svg"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "//" not in text.replace("// ", ""), path.name
            if path.suffix == ".html":
                assert "style=" not in text
                assert "onclick" not in text
                assert "<script>" not in text
