"""Processes that end with the one that started them, however that ended."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable

INTERVAL = 0.5  # seconds between two looks at the launcher
EXIT_CODE = 1


def end_with_parent(worker: int = 0) -> None:
    """End this process of `multiprocessing` when the main process is gone.

    For `worker_init_fn` of a loader, which passes the number of the worker. A worker of PyTorch
    watches the process that forked it, but waits forever for a reader of its last batch.
    """
    parent = multiprocessing.parent_process()  # the main process, also below a fork server
    if parent is not None:
        _watch(parent.join)


def end_with_launcher() -> None:
    """End this process when the program that started it is gone, and nobody could stop it."""
    launcher = os.getppid()

    def wait() -> None:
        while os.getppid() == launcher:
            time.sleep(INTERVAL)

    _watch(wait)


def _watch(wait: Callable[[], None]) -> None:
    """End this process, without any clean-up that could block, as soon as `wait` returns."""

    def run() -> None:
        wait()
        os._exit(EXIT_CODE)

    threading.Thread(target=run, name="watch the parent", daemon=True).start()
