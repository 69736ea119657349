"""The server under load, compared with the command byte by byte: `python -m benchmarks.load`."""

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from PIL import Image

from benchmarks.measure import median, print_machine, report, write_json
from upocr import UPOCR
from utils.cli import Parser, positive_int, run
from utils.memory import resident_memory

SIZES = [(48, 640), (150, 200), (256, 256), (300, 260), (480, 640)]  # height, width
ROUTES = {
    "remove": ("text_removal", "removed.png"),
    "segment": ("text_segmentation", "mask.png"),
    "detect": ("tampered_text_detection", "regions.json"),
}
TIMEOUT = 600  # seconds that a client waits for an answer
PAUSE = 0.2  # mean seconds until a client that was told to come back does


def make_picture(height: int, width: int) -> bytes:
    """A PNG file with a gradient and a few lines of text."""
    ramp = np.linspace(120, 230, width).astype(np.uint8)
    rgb = np.broadcast_to(ramp[None, :, None], (height, width, 3)).copy()
    for line, bottom in enumerate(range(36, height, 48)):
        cv2.putText(rgb, f"line {line} of text", (8, bottom), 0, 0.9, (20, 30, 90), 2, cv2.LINE_AA)
    stream = BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return stream.getvalue()


def broken_files(picture: bytes) -> dict[bytes, int]:
    """Files that are no picture -> status of the answer."""
    return {b"": 415, b"hello": 415, picture[: len(picture) // 2]: 422}


def expected_answers(model: UPOCR, pictures: list[bytes], folder: Path) -> dict[Any, bytes]:
    """(picture, route) -> the file that the command writes."""
    answers = {}
    for number, content in enumerate(pictures):
        path = folder / f"{number}.png"
        path.write_bytes(content)
        for result in model.run(path).values():
            result.save(folder)
        for route, (_, ending) in ROUTES.items():
            answers[content, route] = (folder / f"{number}.{ending}").read_bytes()
    return answers


@contextmanager
def serving(num_threads: int) -> Iterator[tuple[str, int]]:
    """Address and process number of a server that runs meanwhile."""
    command = [sys.executable, "-m", "upocr.server", "--port", "0"]
    command += ["--num_threads", str(num_threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


class Clients:
    """Asks until every request is answered, and keeps the outcomes.

    Args:
        address: of the server.
        process: number of its process.
        expected: see `expected_answers`.
        broken: see `broken_files`.
    """

    def __init__(
        self, address: str, process: int, expected: Mapping[Any, bytes], broken: Mapping[bytes, int]
    ) -> None:
        self.address, self.process = address, process
        self.expected, self.broken = expected, broken
        self.outcomes: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.memory: list[float] = []
        self._lock = threading.Lock()

    def ask(self, number: int, is_broken: bool) -> None:
        """Send one request, again while the server says that it is busy."""
        chance = random.Random(number)
        route = chance.choice(list(ROUTES))
        content = (
            chance.choice(list(self.broken)) if is_broken else chance.choice(list(self.expected))[0]
        )
        outcome = "failed"
        with httpx.Client(timeout=TIMEOUT) as client:
            while True:
                start = time.perf_counter()
                try:
                    url = f"{self.address}/v1/{route}"
                    answer = client.post(url, files={"image": ("a.png", content)})
                except httpx.HTTPError:
                    break
                if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    outcome = self._judge(answer, content, route, is_broken)
                    break
                with self._lock:
                    self.outcomes["told to come back"] += 1
                time.sleep(2 * PAUSE * chance.random())
        with self._lock:
            self.outcomes[outcome] += 1
            self.latencies.append(time.perf_counter() - start)
            self.memory.append(resident_memory(self.process) / 2**20)

    def _judge(self, answer: httpx.Response, content: bytes, route: str, is_broken: bool) -> str:
        if is_broken:
            return "refused" if answer.status_code == self.broken[content] else "failed"
        return "same bytes" if answer.content == self.expected[content, route] else "failed"


def run_load(
    clients: int, requests: int, broken: int, num_threads: int, folder: Path
) -> tuple[Clients, float]:
    """All outcomes, and the seconds that the requests took."""
    pictures = [make_picture(*size) for size in SIZES]
    expected = expected_answers(UPOCR.from_pretrained(num_threads=num_threads), pictures, folder)
    kinds = [False] * requests + [True] * broken
    random.Random(0).shuffle(kinds)
    with serving(num_threads) as (address, process), ThreadPoolExecutor(clients) as pool:
        asking = Clients(address, process, expected, broken_files(pictures[-1]))
        start = time.perf_counter()
        list(pool.map(asking.ask, range(len(kinds)), kinds))
        return asking, time.perf_counter() - start


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.load", description=__doc__)
    add = parser.add_argument
    add("--clients", type=positive_int, default=20)
    add("--requests", type=positive_int, default=500, help="with a picture")
    add("--broken", type=positive_int, default=50, help="with anything else")
    add("--num_threads", type=int, default=0)
    add("--json", type=Path, help="write the table here as well")
    return parser


def main() -> None:
    """The command; exit code 1 if an answer was wrong or missing."""
    args = build_parser().parse_args()
    rates = print_machine()
    with tempfile.TemporaryDirectory() as folder:
        asking, seconds = run_load(
            args.clients, args.requests, args.broken, args.num_threads, Path(folder)
        )
    outcomes, count = asking.outcomes, args.requests + args.broken
    latencies = sorted(asking.latencies)
    facts = {
        "requests": count,
        **{name: outcomes[name] for name in ("same bytes", "refused", "failed")},
        "told to come back": outcomes["told to come back"],
        "requests/s": count / seconds,
        "median s": median(latencies),
        "95 % s": latencies[int(0.95 * count)],
    }
    reports = [report(f"{args.clients} clients", [facts], {})]
    tenths = [asking.memory[max(0, part * count // 10 - 1)] for part in range(11)]
    memory = [{"requests answered": f"{10 * k} %", "MiB": tenths[k]} for k in range(11)]
    reports.append(report("Resident memory of the server", memory, {}))
    write_json(args.json, rates, reports)
    if outcomes["failed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
