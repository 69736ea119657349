"""The process that draws the pages of one PDF: `python -m upocr.pdf_reader [FILE]`.

Requests and answers are lines of JSON; pixels follow the answer. Without FILE the content comes
first, after its length in 8 bytes.
"""

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
import pypdfium2

SECONDS = 60  # of processor time per page
MEMORY = 4 * 2**30  # bytes of address space

resource: Any = importlib.import_module("resource") if os.name == "posix" else None


def main() -> None:
    """Serve requests until there are no more."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    limit_memory()
    allow_time()
    try:
        document = pypdfium2.PdfDocument(_content(requests))
        document.init_forms()
    except pypdfium2.PdfiumError as error:
        is_locked = "password" in str(error).lower()
        reason = "is encrypted: save it without its password first" if is_locked else _named(error)
        _answer(answers, {"error": reason})
        return
    _answer(answers, {"pages": len(document)})
    for line in requests:
        allow_time()
        request = json.loads(line)
        try:
            if "size" in request:
                _answer(answers, {"points": document.get_page_size(request["size"])})
            else:
                pixels = draw(document[request["render"]], request["scale"])
                _answer(answers, {"shape": pixels.shape}, pixels)
        except pypdfium2.PdfiumError as error:
            _answer(answers, {"error": _named(error)})


def _content(requests: IO[bytes]) -> Path | bytes:
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    return requests.read(int.from_bytes(requests.read(8), "big"))


def _named(error: Exception) -> str:
    return f"cannot read this PDF ({error})"


def _answer(answers: IO[bytes], answer: dict[str, Any], pixels: np.ndarray | None = None) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    if pixels is not None:
        answers.write(pixels.data)
    answers.flush()


def draw(page: Any, scale: float) -> np.ndarray:
    """A page on white paper, (H, W, 3) uint8 RGB."""
    bitmap = page.render(scale=scale, rev_byteorder=True)
    pixels = np.ascontiguousarray(bitmap.to_numpy()[:, :, :3])
    page.close()
    return pixels


def limit_memory() -> None:
    """No more than `MEMORY`, on Windows as much as there is."""
    if resource is not None:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
        with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def allow_time() -> None:
    """`SECONDS` more of processor time, after which the system ends this process."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        limit = int(used.ru_utime + used.ru_stime) + SECONDS
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, most))


if __name__ == "__main__":
    main()
