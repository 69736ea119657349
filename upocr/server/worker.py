"""One thread runs the model; requests wait in line, and can be cancelled."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

from upocr.server.answers import Answer
from upocr.server.problem import Problem

Work = Callable[["Job"], Answer]


class Cancelled(Exception):  # noqa: N818 - raised on purpose
    """The client has left."""


class Job:
    """A picture on its way through the model.

    Args:
        work: runs in the thread of the model; calls `advance` as its progress.
        changed: called in that thread whenever there is news.
    """

    def __init__(self, work: Work, changed: Callable[[], object] = lambda: None) -> None:
        self.work, self.changed = work, changed
        self.done = self.total = 0  # windows
        self.deadline = float("inf")
        self.is_cancelled = Event()

    def advance(self, windows: int) -> None:
        """Count windows; raises Cancelled without a client, Problem after the time limit."""
        self.done += windows
        self.changed()
        self.check()

    def check(self) -> None:
        """See `advance`."""
        if self.is_cancelled.is_set():
            raise Cancelled
        if time.monotonic() > self.deadline:
            raise Problem(503, "The picture takes longer than the time limit of this server.")


class Worker:
    """The line of requests and the thread of the model.

    Args:
        max_queue: requests that are read, wait or run.
        time_limit: seconds of work on one picture.
    """

    def __init__(self, max_queue: int, time_limit: float) -> None:
        self.max_queue, self.time_limit = max_queue, time_limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._lock = Lock()
        self._places = 0
        self._jobs: list[Job] = []  # in line, the running one first
        self._stopping = False

    def reserve(self) -> None:
        """Take a place before the request is read; raises Problem if there is none."""
        if self._stopping:
            raise Problem(503, "The server is stopping.")
        with self._lock:
            if self._places >= self.max_queue:
                raise Problem(429, "Too many pictures are waiting; try again later.")
            self._places += 1

    def release(self) -> None:
        """Give a place back."""
        with self._lock:
            self._places -= 1

    def submit(self, job: Job) -> "asyncio.Future[Answer]":
        """Put a job in line; its place is released when it is finished."""
        with self._lock:
            self._jobs.append(job)
        future = self._thread.submit(self._run, job)
        future.add_done_callback(lambda _: self._leave(job))  # also of a job that never ran
        return asyncio.wrap_future(future)

    def ahead(self, job: Job) -> int:
        """Number of jobs before this one."""
        with self._lock:
            return self._jobs.index(job) if job in self._jobs else 0

    def stop(self) -> None:
        """Finish what runs and turn away those who wait and those who come."""
        self._stopping = True

    def close(self) -> None:
        """Cancel what runs and end the thread."""
        self.stop()
        with self._lock:
            for job in self._jobs:
                job.is_cancelled.set()
        self._thread.shutdown()

    def _run(self, job: Job) -> Answer:
        if self._stopping:
            raise Problem(503, "The server is stopping.")
        job.deadline = time.monotonic() + self.time_limit
        job.check()
        return job.work(job)

    def _leave(self, job: Job) -> None:
        with self._lock:
            self._jobs.remove(job)
        self.release()
