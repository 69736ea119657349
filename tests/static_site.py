"""A static host for the page without a server, and a runtime that needs no network."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PREFIX = "/some/folder/"  # of the page: no address in it may begin at the root
GATE = "/gate"
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}

# Paints as `Doubtful` of page_user.py does, and tells the host which runtime has how many threads.
RUNTIME = """
export const env = { wasm: {} };
export class Tensor {
  constructor(type, data, dims) { Object.assign(this, { type, data, dims }); }
}
export class InferenceSession {
  static async create(bytes, options) {
    if (!(env.wasm.wasmBinary instanceof ArrayBuffer)) throw new Error("no binary");
    return Object.assign(new InferenceSession(), {
      graph: new TextDecoder().decode(bytes), provider: options.executionProviders[0] });
  }
  async run(inputs) {
    if (this.graph === "encoder") {
      return { features: inputs.images, lateral16: 0, lateral8: 0, lateral4: 0 };
    }
    await fetch(`/gate?provider=${this.provider}&threads=${env.wasm.numThreads}`);
    const { data, dims } = inputs.features;
    return { image: { data: FAULT(paint(Number(inputs.task.data[0]), data), dims), dims } };
  }
}
function paint(task, values) {
  const size = values.length / 3;
  const image = new Float32Array(3 * size);
  for (let i = 0; i < size; i++) {
    const is = Number(values[i] > Math.fround(0.9) && values[i + size] < Math.fround(0.1));
    const doubt = values[i + size] > Math.fround(0.05) ? Math.fround(0.6) : 1;
    const removed = [0, 1, 2].map((c) => values[c * size + i] * (1 - is) + (c === 2 ? is : 0));
    const likely = is * doubt;
    const found = [removed, [1 - is, 0, is], [likely, likely, likely]][task];
    found.forEach((value, c) => { image[c * size + i] = value; });
  }
  return image;
}
"""
FAULTS = {
    "none": "x",
    "wrong": "x.fill(0.5)",
    "breaks": "dims[2] + dims[3] > 128 ? x.fill(NaN) : x",
}


def runtime(fault: str = "none") -> str:
    """The module; `wrong` answers always, `breaks` with nothing on windows above 64 pixels."""
    return RUNTIME.replace("FAULT(", "((x, dims) => FAULT)(").replace("FAULT", FAULTS[fault])


def write_package(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Write files as those of the npm package; their SHA-256 by name."""
    (folder / "dist").mkdir(parents=True)
    for name, content in files.items():
        (folder / "dist" / name).write_text(content)
    return {name: hashlib.sha256(content.encode()).hexdigest() for name, content in files.items()}


@dataclass
class Host:
    """A host that runs.

    Args:
        url: of the page.
        folder: that it serves, below `PREFIX`.
        headers: of every answer.
        gate: answers to `GATE` wait for it.
        requests: method and path of all requests, those to `GATE` excluded.
        gates: paths of the requests to `GATE`.
    """

    url: str
    folder: Path
    headers: dict[str, str] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    requests: list[str] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)


class Handler(SimpleHTTPRequestHandler):
    """Answers with the files of a folder; `host` is set by `hosted`."""

    host: Host

    def do_GET(self) -> None:
        """See BaseHTTPRequestHandler."""
        if self.path.startswith(GATE):
            self.host.gates.append(self.path)
            self.host.gate.wait(60)
            self.send_response(204)
            self.end_headers()
        else:
            self.host.requests.append(f"{self.command} {self.path}")
            super().do_GET()

    def do_POST(self) -> None:
        """A page that stays on the device sends nothing."""
        self.host.requests.append(f"{self.command} {self.path}")
        self.send_error(405)

    def translate_path(self, path: str) -> str:
        """See SimpleHTTPRequestHandler."""
        inside = path.removeprefix(PREFIX) if path.startswith(PREFIX) else "nothing"
        return super().translate_path(f"/{inside}")

    def end_headers(self) -> None:
        """See BaseHTTPRequestHandler."""
        for name, value in self.host.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def hosted(folder: Path) -> Iterator[Host]:
    """A host of a folder on a free port."""
    handler = type("OwnHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        handler.host = Host(f"http://127.0.0.1:{server.server_port}{PREFIX}", folder)
        handler.host.gate.set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield handler.host
        finally:
            handler.host.gate.set()
            server.shutdown()
            thread.join()
