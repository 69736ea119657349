"""The process: an address, the application, and a stop that finishes what runs."""

import socket
from types import FrameType

import uvicorn

from upocr.predictor import UPOCR
from upocr.server.app import build_app
from upocr.server.limits import Limits
from upocr.server.security import LOOPBACK
from upocr.server.worker import Worker


class Server(uvicorn.Server):
    """Stops as uvicorn does, and turns away those who wait.

    Args:
        config: of uvicorn.
        worker: finishes its picture.
    """

    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self.worker = worker

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal finishes what runs, a second Ctrl-C does not."""
        self.worker.stop()
        super().handle_exit(sig, frame)


def build_server(model: UPOCR, host: str, port: int, limits: Limits) -> Server:
    """The server, not yet running."""
    worker = Worker(limits.max_queue, limits.time_limit)
    app = build_app(model, worker, limits, only_local=host in LOOPBACK)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False
    )
    return Server(config, worker)


def serve(model: UPOCR, host: str, port: int, limits: Limits) -> None:
    """Serve until a signal; raises OSError if the address cannot be used."""
    server = build_server(model, host, port, limits)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise OSError(f"cannot serve at {host}, port {port}: {error}") from None
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{listener.getsockname()[1]}", flush=True)
        try:
            server.run(sockets=[listener])
        finally:
            server.worker.close()
