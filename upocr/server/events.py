"""Progress of a request as server-sent events."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from upocr.server.answers import Answer
from upocr.server.problem import Problem
from upocr.server.worker import Job, Worker

PATIENCE = 2.0  # seconds between signs of life
FAILED = "The server failed at this picture; its log says why."
LOG = logging.getLogger("uvicorn.error")


def event(name: str, data: dict[str, Any]) -> bytes:
    """One event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


class EventResponse(StreamingResponse):
    """`queue` and `progress`, then `result` or `error`; a client that leaves cancels the job.

    Args:
        worker: the line of requests.
        job: in that line.
        future: of its answer.
        news: set whenever the job has advanced.
    """

    def __init__(
        self, worker: Worker, job: Job, future: "asyncio.Future[Answer]", news: asyncio.Event
    ) -> None:
        super().__init__(_events(worker, job, future, news), media_type="text/event-stream")
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.job.is_cancelled.set()


async def _events(
    worker: Worker, job: Job, future: "asyncio.Future[Answer]", news: asyncio.Event
) -> AsyncIterator[bytes]:
    future.add_done_callback(lambda _: news.set())
    shown = b""
    while not future.done():
        news.clear()
        state = _state(worker, job)
        yield state if state != shown else b": waiting\n\n"
        shown = state
        await _either(news, PATIENCE)
    yield _last(future)


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
