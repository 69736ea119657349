"""Downloads: whole and the right file, or one line and nothing in the cache."""

import hashlib
from pathlib import Path

import pytest
from hostile import servers
from hostile.servers import CONTENT

from upocr import UPOCR, download
from upocr.__main__ import main
from upocr.backends.choice import DEFAULT_WEIGHTS
from upocr.download import Downloads, cached, fetch, has_checksum
from utils import hub

HTTP = Downloads(timeout=5, allow_http=True)
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no proxy between a test and its server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "upocr"


def refused(url: str, downloads: Downloads = HTTP) -> str:
    """The line that refuses a download, which leaves no file."""
    with pytest.raises(ValueError, match=r"^https?://") as error:
        cached(url, downloads)
    message = str(error.value)
    assert message.startswith(f"{url}: ")
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("kind", ["whole", "whole in chunks"])
def test_a_whole_file_is_fetched_once(cache, kind):
    with servers.running(servers.answer(kind)) as url:
        path = cached(url, HTTP)
    assert path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path]
    assert path.name.endswith("-file.pth")
    assert cached(url, HTTP) == path  # the server is gone


@pytest.mark.parametrize("kind", sorted(servers.ANSWERS.keys() - {"whole", "whole in chunks"}))
def test_anything_else_is_one_line_and_not_cached(cache, kind):
    with servers.running(servers.answer(kind)) as url:
        message = refused(url)
    assert not list(cache.glob("*"))
    if kind == "cut":
        assert f"ended after {len(CONTENT) - 1} of {len(CONTENT)} bytes" in message


@pytest.mark.parametrize("serve", [servers.be_silent, servers.stall])
def test_a_silent_server_is_given_up(cache, serve):
    with servers.running(serve) as url:
        assert "timed out" in refused(url, Downloads(0.3, allow_http=True))
    assert not list(cache.glob("*"))


def test_a_server_that_drips_is_given_up(cache):
    with servers.running(servers.drip) as url:
        assert "bytes per second" in refused(url, Downloads(0.5, allow_http=True))
    assert not list(cache.glob("*"))


def test_an_endless_file_is_given_up(cache, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", len(CONTENT) - 1)
    with servers.running(servers.answer("whole")) as url:
        assert "is larger than" in refused(url)


def test_http_needs_permission_before_anything_is_sent():
    def never(client) -> None:
        raise AssertionError("the server was asked")

    with servers.running(never) as url:
        assert "--allow_http" in refused(url, Downloads())


def test_a_checksum_decides(cache):
    with servers.running(servers.answer("no length")) as url:
        assert cached(f"{url}#sha256={CHECKSUM}", HTTP).read_bytes() == CONTENT
        wrong = "0" * 64
        assert f"has the checksum {CHECKSUM}" in refused(f"{url}#sha256={wrong}")
        assert "expected sha256=" in refused(f"{url}#md5=1")
    assert len(list(cache.iterdir())) == 1


def test_published_weights_are_checked_even_if_they_are_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with servers.running(servers.answer("whole")) as url:
        address = url.replace("file", f"vgg16-{CHECKSUM[:8]}")
        path = hub.hub_path(address)
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT[:-1])  # what a cut download of another program has left
        assert hub.hub_file(address, HTTP).read_bytes() == CONTENT
    assert hub.hub_file(address, HTTP) == path
    assert has_checksum(path, CHECKSUM)
    assert not has_checksum(path, "0")
    assert not has_checksum(tmp_path / "none", "")


def test_a_file_url_is_the_file_itself(tmp_path, cache):
    path = tmp_path / "a b.onnx.zip"
    path.write_bytes(DEFAULT_WEIGHTS.read_bytes())
    assert cached(path.as_uri()) == path
    assert not cache.exists()


def test_weights_of_the_package_come_from_a_url(monkeypatch):
    def serve(client) -> None:
        client.recv(10_000)
        content = DEFAULT_WEIGHTS.read_bytes()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    with servers.running(serve) as url:
        address = url.replace("file.pth", "nano.onnx.zip")
        model = UPOCR.from_pretrained(address, "cpu", downloads=HTTP)
    assert model.tasks == UPOCR.from_pretrained(None, "cpu").tasks


def test_the_command_has_both_options(tmp_path):
    with servers.running(servers.be_silent) as url:
        arguments = ["remove", "a.png", "--output_dir", str(tmp_path), "--weights", url]
        (tmp_path / "a.png").touch()
        arguments[1] = str(tmp_path / "a.png")
        with pytest.raises(ValueError, match="--allow_http true"):
            main(arguments)
        with pytest.raises(ValueError, match="timed out"):
            main([*arguments, "--allow_http", "true", "--download_timeout", "0.3"])
        with pytest.raises(ValueError, match="time-out is 0"):
            main([*arguments, "--download_timeout", "0"])


def test_fetch_replaces_a_file_only_when_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes(b"old")
    with servers.running(servers.answer("cut")) as url, pytest.raises(ValueError, match="ended"):
        fetch(url, path, HTTP)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
