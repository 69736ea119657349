"""Progress of a request as server-sent events."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from upocr.server.answers import Answer
from upocr.server.problem import Problem
from upocr.server.worker import Job, Worker

PATIENCE = 2.0  # seconds between signs of life
FAILED = "The server failed at this picture; its log says why."
LOG = logging.getLogger("uvicorn.error")


def event(name: str, data: dict[str, Any]) -> bytes:
    """One event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def events(
    worker: Worker, start: Callable[[Callable[[], object]], "tuple[Job, asyncio.Future[Answer]]"]
) -> AsyncIterator[bytes]:
    """`queue` and `progress`, then `result` or `error`.

    start: starts the job, given what to call when there is news; a client that leaves cancels it.
    """
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    job, future = start(partial(loop.call_soon_threadsafe, news.set))
    future.add_done_callback(lambda _: news.set())
    shown = b""
    try:
        while not future.done():
            news.clear()
            state = _state(worker, job)
            yield state if state != shown else b": waiting\n\n"
            shown = state
            await _either(news, PATIENCE)
        yield _last(future)
    finally:
        job.is_cancelled.set()


def _state(worker: Worker, job: Job) -> bytes:
    if job.total:
        return event("progress", {"done": job.done, "total": job.total})
    return event("queue", {"ahead": worker.ahead(job)})


async def _either(news: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(news.wait(), seconds)
    except asyncio.TimeoutError:
        return


def _last(future: "asyncio.Future[Answer]") -> bytes:
    try:
        return b"event: result\ndata: " + future.result().content + b"\n\n"
    except Problem as problem:
        return event("error", {"status": problem.status, "error": problem.sentence})
    except Exception:
        LOG.exception("a bug")
        return event("error", {"status": 500, "error": FAILED})
