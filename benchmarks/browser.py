"""Seconds per picture in headless Chromium, with and without a server: `benchmarks.browser`."""

import queue
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.large_image import make_image
from benchmarks.measure import median, print_machine, report, write_json
from tools.export import export
from upocr import UPOCR
from upocr.server.limits import Limits
from utils.cli import Parser, positive_int, run

CHROMIUM = "chromium"
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run")
PATIENCE = 1800  # seconds for all pictures of a row
THREADS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}

PAGE = '<!doctype html><script type="module" src="/benchmark/page.js"></script>'
# The engine of the page, be it the server or the browser, on one picture after another.
SCRIPT = """
import { analyse, getModel } from "/static/api.js";
const options = { signal: new AbortController().signal, onProgress() {} };
const answer = { seconds: {} };
try {
  const model = await getModel();
  for (const name of NAMES) {
    const file = new File([await (await fetch(`/benchmark/${name}`)).blob()], name);
    const start = performance.now();
    const result = await analyse(file, model, false, options);
    (answer.seconds[name] ??= []).push((performance.now() - start) / 1000);
    answer.runs = result.provider ?? "server";
  }
} catch (error) {
  answer.error = String(error);
}
await fetch("/benchmark/answer", { method: "POST", body: JSON.stringify(answer) });
"""


def with_benchmark(app: Any, folder: Path, answers: "queue.Queue[Any]") -> Any:
    """An application that also serves the benchmark and its pictures, and takes its answer."""
    from starlette.applications import Starlette  # noqa: PLC0415 - an extra
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Mount, Route  # noqa: PLC0415
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415

    async def answer(request: Any) -> Any:
        answers.put(await request.json())
        return Response()

    routes = [
        Route("/benchmark/answer", answer, methods=["POST"]),
        Mount("/benchmark", StaticFiles(directory=folder, html=True)),
        Mount("/", app),
    ]
    return Starlette(routes=routes)


def static_app(site: Path, headers: Mapping[str, str]) -> Any:
    """A static host with headers."""
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415 - an extra

    class Files(StaticFiles):
        def file_response(self, *args: Any, **kwargs: Any) -> Any:
            response = super().file_response(*args, **kwargs)
            response.headers.update(headers)
            return response

    return Files(directory=site, html=True)


@contextmanager
def server_app() -> Iterator[Any]:
    """The application of `upocr serve` with the shipped weights."""
    from upocr.server.app import build_app  # noqa: PLC0415 - an extra
    from upocr.server.worker import Worker  # noqa: PLC0415

    limits = Limits(time_limit=PATIENCE)
    worker = Worker(limits.max_queue, limits.time_limit)
    try:
        yield build_app(UPOCR.from_pretrained(backend="onnxruntime"), worker, limits)
    finally:
        worker.close()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an application that runs in a thread."""
    import uvicorn  # noqa: PLC0415 - an extra

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def measure(app: Any, folder: Path) -> dict[str, Any]:
    """Provider, and seconds by name of picture; raises ValueError if the page fails."""
    answers: queue.Queue[Any] = queue.Queue()
    with (
        served(with_benchmark(app, folder, answers)) as address,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", f"{address}/benchmark/"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            found = answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise ValueError(f"the page did not answer within {PATIENCE} s") from None
        finally:
            process.terminate()
            process.wait()
    if "error" in found:
        raise ValueError(f"the page failed: {found['error']}")
    return found


def prepare(folder: Path, sides: list[int], repeats: int) -> list[str]:
    """Write page, script and pictures; returns the names of the pictures."""
    names = [f"{side}.jpg" for side in sides]
    for side, name in zip(sides, names, strict=True):
        make_image(folder / name, side, side)
    order = [names[0], *(name for _ in range(repeats) for name in names)]
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    (folder / "page.js").write_text(SCRIPT.replace("NAMES", repr(order)), encoding="utf-8")
    return names


def compare(site: Path, sides: list[int], repeats: int) -> dict[str, Any]:
    """One row per way to serve the page; all three tasks on square pictures."""
    rows = []
    with tempfile.TemporaryDirectory() as name, server_app() as server:
        names = prepare(Path(name), sides, repeats)
        kinds = {
            "with a server": server,
            "without, one thread": static_app(site, {}),
            "without, threads": static_app(site, THREADS),
        }
        for kind, app in kinds.items():
            found = measure(app, Path(name))
            first, *seconds = found["seconds"][names[0]]
            found["seconds"][names[0]] = seconds
            times = {f"{each[:-4]} px, s": median(found["seconds"][each]) for each in names}
            first = {"first, s": first}  # loads the model where the browser runs it
            rows.append({"page": kind, "runs on": found["runs"], **first, **times})
    title = f"upocr_nano in {CHROMIUM}, three tasks, square pictures, medians of {repeats}"
    return report(title, rows, {})


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.browser", description=__doc__)
    add = parser.add_argument
    add("--site", type=Path, help="folder of tools.export --format web; default: exported for this")
    add("--sides", nargs="+", type=positive_int, default=[512, 2000], help="of the pictures")
    add("--repeats", type=positive_int, default=3, help="timed pictures per size")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    if shutil.which(CHROMIUM) is None:
        raise ValueError(f"{CHROMIUM} is not installed")
    with tempfile.TemporaryDirectory() as name:
        site = args.site or Path(name) / "site"
        if args.site is None:
            export([], site, "float32", format="web")
        elif not (site / "model.json").exists():
            raise ValueError(f"{site}: no page of tools.export --format web")
        rates = print_machine()
        write_json(args.json, rates, [compare(site, args.sides, args.repeats)])


if __name__ == "__main__":
    run(main)
