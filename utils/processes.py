"""Processes that end with the one that started them, and work shared by processes."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

INTERVAL = 0.5  # seconds between two looks at the launcher
EXIT_CODE = 1
# The program that started this process, which may be gone by the time of `end_with_launcher`.
LAUNCHER = os.getppid()


def end_with_parent(worker: int = 0) -> None:
    """End this process of `multiprocessing` when the main process is gone.

    For `worker_init_fn` of a loader, which passes the number of the worker. A worker of PyTorch
    watches the process that forked it, but waits forever for a reader of its last batch.
    """
    parent = multiprocessing.parent_process()  # the main process, also below a fork server
    if parent is not None:
        _watch(parent.join)


@contextlib.contextmanager
def sigterm_ignored() -> Iterator[None]:
    """Processes started within ignore SIGTERM; no effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def obey_only_the_parent() -> None:
    """Ignore SIGTERM in this process of `multiprocessing`, unless the main process sends it.

    No effect where the system does not tell who sends a signal.
    """
    parent = multiprocessing.parent_process()
    if parent is None or not hasattr(signal, "sigwaitinfo"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # also in threads started later

    def wait() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent.pid:
            pass

    _watch(wait)


def end_with_launcher() -> None:
    """End this process when the program that started it is gone, and nobody could stop it."""

    def wait() -> None:
        while os.getppid() == LAUNCHER:
            time.sleep(INTERVAL)

    _watch(wait)


def map_in_processes(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    chunksize: int = 1,
    initializer: Callable[[], object] = int,
) -> Iterator[R]:
    """Yield `function(item)` of every item, in order, from `workers` processes; 0: from this one.

    Args:
        function: of the module level, or an object that can be pickled.
        chunksize: items per message.
        initializer: called in every worker.

    Raises what `function` raises, and ValueError if a worker is killed.
    """
    if workers == 0:
        yield from map(function, items)
        return
    start = functools.partial(_start, initializer)
    with ProcessPoolExecutor(workers, initializer=start) as executor:
        try:
            yield from executor.map(function, items, chunksize=chunksize)
        except BrokenProcessPool:
            raise ValueError(
                "a worker process was killed, as the system does if memory runs out: try again "
                "with fewer workers"
            ) from None


def _start(initializer: Callable[[], object]) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is the parent's to handle
    initializer()


def _watch(wait: Callable[[], None]) -> None:
    """End this process, without any clean-up that could block, as soon as `wait` returns."""

    def run() -> None:
        wait()
        os._exit(EXIT_CODE)

    threading.Thread(target=run, name="watch the parent", daemon=True).start()
