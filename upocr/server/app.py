"""The routes of the API and the page."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from upocr import __version__
from upocr.predictor import UPOCR
from upocr.server import work
from upocr.server.answers import Answer
from upocr.server.events import FAILED, LOG, EventResponse
from upocr.server.form import Settings, read_form
from upocr.server.information import ROUTES, describe
from upocr.server.limits import Limits
from upocr.server.problem import Problem
from upocr.server.security import Guard
from upocr.server.worker import Cancelled, Job, Worker

STATIC = Path(__file__).parent / "static"
SUMMARIES = {
    "remove": "Erase text",
    "segment": "Find the pixels of text",
    "detect": "Tell genuine text from tampered text",
    work.ALL: "Run all tasks",
}
PROBLEMS = {
    403: "Sent by a page of another site",
    408: "The request took too long to arrive",
    413: "Too many bytes or pixels",
    415: "Not a form, or not a picture of a readable kind",
    422: "A damaged picture, or options that do not fit",
    429: "Too many pictures are waiting",
    503: "The time limit, or the server is stopping",
}
POLL = 0.25  # seconds between looks at whether a client is still there


def build_app(model: UPOCR, worker: Worker, limits: Limits, only_local: bool = True) -> FastAPI:
    """The application; `only_local`: whether it listens to this machine only."""
    app = FastAPI(
        title="UPOCR",
        version=__version__,
        description="Text removal, text segmentation and tampered text detection.",
        docs_url=None,  # they would load scripts of another host; /docs is ours
        redoc_url=None,
    )
    app.add_middleware(Guard, only_local=only_local)
    _answer_problems(app)
    _add_information(app, model, limits)
    for route in (*ROUTES, work.ALL):
        app.add_api_route(
            f"/v1/{route}",
            _endpoint(route, model, worker, limits),
            methods=["POST"],
            operation_id=route,
            summary=SUMMARIES[route],
            response_class=Response,
            responses=_responses(),
            openapi_extra={"requestBody": _request_body()},
        )
    _add_page(app)
    return app


def _endpoint(
    route: str, model: UPOCR, worker: Worker, limits: Limits
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        as_events = "text/event-stream" in request.headers.get("accept", "")
        worker.reserve()
        try:
            form = await read_form(request, limits)
            planned = work.plan(model, route, form, limits.max_pixels, as_json=as_events)
        except BaseException:
            worker.release()
            raise

        news = asyncio.Event()
        job = Job(planned, partial(asyncio.get_running_loop().call_soon_threadsafe, news.set))
        future = worker.submit(job)
        if as_events:
            return EventResponse(worker, job, future, news)
        return await _wait(request, job, future)

    return answer


async def _wait(request: Request, job: Job, future: "asyncio.Future[Answer]") -> Response:
    """The answer of a job; a client that leaves cancels it."""
    try:
        while not future.done():
            await asyncio.wait([future], timeout=POLL)
            if await request.is_disconnected():
                job.is_cancelled.set()
        answer = future.result()
    except Cancelled:
        return Response(status_code=499)  # nobody reads it
    finally:
        job.is_cancelled.set()
    return Response(answer.content, headers=answer.headers)


def _answer_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        headers = {"Retry-After": "5"} if error.status == 429 else None
        return JSONResponse({"error": error.sentence}, error.status, headers)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        sentence = f"{request.method} {request.url.path}: {error.detail.lower()}."
        return JSONResponse({"error": sentence}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        LOG.error("a bug", exc_info=error)
        return JSONResponse({"error": FAILED}, 500)


def _add_information(app: FastAPI, model: UPOCR, limits: Limits) -> None:
    @app.get("/healthz", summary="Whether the server runs")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/model", summary="Tasks, classes, limits")
    async def information() -> dict[str, Any]:
        return describe(model.tasks, model.window, limits.max_bytes, limits.max_pixels)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers=CACHING)

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return FileResponse(STATIC / "docs.html", headers=CACHING)

    app.mount("/static", Static(directory=STATIC))


CACHING = {"Cache-Control": "no-cache"}  # ask whether there is a newer one


class Static(StaticFiles):
    """Static files that a browser asks for again after an update."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """See StaticFiles."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(CACHING)
        return response


def _request_body() -> dict[str, Any]:
    schema = Settings.model_json_schema()
    image = {"type": "string", "format": "binary", "description": "The picture."}
    properties = {"image": image, **schema["properties"]}
    body = {"type": "object", "properties": properties, "required": ["image"]}
    return {"required": True, "content": {"multipart/form-data": {"schema": body}}}


def _responses() -> dict[int | str, dict[str, Any]]:
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    kinds = ("image/png", "image/jpeg", "image/webp", "image/tiff", "application/json")
    binary = {"schema": {"type": "string", "format": "binary"}}
    found: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "The file that was asked for; with `Accept: text/event-stream`, events "
            "`queue`, `progress`, and at last `result` or `error`",
            "content": {kind: binary for kind in (*kinds, "application/zip", "text/event-stream")},
        }
    }
    for status, description in PROBLEMS.items():
        found[status] = {
            "description": description,
            "content": {"application/json": {"schema": error}},
        }
    return found
