"""Files from the network: whole or not there, and never waited for without end."""

import hashlib
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlparse
from urllib.request import url2pathname

from tqdm import tqdm

from upocr.files import atomic_path, checksum
from upocr.quote import printable

CHUNK = 2**16  # bytes
MIN_RATE = 2**13  # bytes per second, on average and apart from the time-out
MAX_TIMEOUT = 24 * 3600  # seconds
MAX_BYTES = 2**34


@dataclass(frozen=True)
class Downloads:
    """How files are fetched.

    Args:
        timeout: seconds that a server may be silent.
        allow_http: also fetch without encryption, so that anybody on the way may change the file.
    """

    timeout: float = 30.0
    allow_http: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= MAX_TIMEOUT:
            raise ValueError(f"the time-out is {self.timeout} seconds, expected 0 to {MAX_TIMEOUT}")


DOWNLOADS = Downloads()


def is_url(name: object) -> bool:
    """Whether a name of weights is a URL."""
    return isinstance(name, str) and urlparse(name).scheme in ("http", "https", "file")


def cached(url: str, downloads: Downloads = DOWNLOADS) -> Path:
    """Path of a file that is fetched once; `file:` URLs are local. Raises ValueError as `fetch`."""
    parts = urlparse(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "upocr"
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]  # names repeat, URLs do not
    path = folder / f"{digest}-{Path(unquote(parts.path)).name}"
    if not path.exists():
        fetch(url, path, downloads)
    return path


def fetch(url: str, path: Path, downloads: Downloads = DOWNLOADS, sha256: str = "") -> None:
    """Download a file, complete or not at all.

    Args:
        url: may end with `#sha256=` and the checksum of the file, as pip knows it.
        path: of the file, whose folder is created.
        sha256: its checksum, or the first digits of it.

    Raises ValueError that names the URL if the file cannot be fetched, is cut or another one.
    """
    address, fragment = urldefrag(url)
    if fragment:
        if not re.fullmatch(r"sha256=[0-9a-f]{64}", fragment):
            raise ValueError(f"{url}: ends with {fragment!r}, expected sha256= and 64 digits")
        sha256 = fragment.partition("=")[2]
    try:
        opener = urllib.request.build_opener(_Redirects(downloads))
        _check_scheme(address, downloads)
        with opener.open(address, timeout=downloads.timeout) as response:
            _save(response, path, downloads.timeout, sha256)
    except _DownloadError as error:
        raise ValueError(f"{url}: {error}") from None
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
        reason = printable(str(error) or type(error).__name__)[:200]
        raise ValueError(f"{url}: cannot be downloaded ({reason})") from None


def has_checksum(path: Path, sha256: str) -> bool:
    """Whether the file exists and its checksum begins with `sha256`."""
    return path.is_file() and checksum(path).startswith(sha256)


class _DownloadError(Exception):
    """What is wrong with a download."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address of an accepted kind."""

    def __init__(self, downloads: Downloads) -> None:
        self.downloads = downloads

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_scheme(newurl, self.downloads)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(address: str, downloads: Downloads) -> None:
    scheme = urlparse(address).scheme
    if scheme == "http" and not downloads.allow_http:
        raise _DownloadError("is not encrypted (https); --allow_http true fetches it nevertheless")
    if scheme not in ("http", "https"):
        raise _DownloadError(f"leads to {printable(address)[:120]}, expected https")


def _save(response: HTTPResponse, path: Path, timeout: float, sha256: str) -> None:
    """Write a response to `path` once it is known to be whole."""
    length = _length(response)
    if length is None and not response.chunked and not sha256:
        raise _DownloadError(
            "its server does not tell the size, so that a cut file would not be noticed; append "
            "#sha256= and the checksum"
        )
    digest, size = hashlib.sha256(), 0
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            for part in _parts(response, length, timeout, path.name):
                file.write(part)
                digest.update(part)
                size += len(part)
            file.flush()
            os.fsync(file.fileno())
        if length is not None and size != length:
            raise _DownloadError(f"ended after {size} of {length} bytes; try again")
        if not digest.hexdigest().startswith(sha256):
            raise _DownloadError(f"has the checksum {digest.hexdigest()}, expected {sha256}")


def _length(response: HTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def _parts(
    response: HTTPResponse, length: int | None, timeout: float, name: str
) -> Iterator[bytes]:
    """The content as it comes; raises _DownloadError if it comes too slowly or never ends."""
    started, size = time.monotonic(), 0
    with tqdm(total=length, desc=printable(name), unit="B", unit_scale=True, delay=2) as bar:
        while part := response.read1(CHUNK):
            size += len(part)
            if size > MAX_BYTES:
                raise _DownloadError(f"is larger than {MAX_BYTES} bytes")
            if time.monotonic() - started > timeout + size / MIN_RATE:
                raise _DownloadError(f"comes with less than {MIN_RATE} bytes per second")
            yield part
            bar.update(len(part))
