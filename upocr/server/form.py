"""The body of a request: a picture, options, and perhaps a mask, all in memory."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from upocr.composite import DILATION
from upocr.picture import FileInMemory
from upocr.results import MIN_AREA
from upocr.server.limits import Limits
from upocr.server.problem import Problem

MAX_DILATION = 32  # the time of a dilation grows with its square
MAX_FIELD = 10_000  # bytes of an option


class Settings(BaseModel):
    """Options of a request; those of the command have its names and defaults."""

    model_config = ConfigDict(extra="forbid")

    output: str | None = Field(
        None, description="File to return, such as `mask.png`; or `json`, or `zip` for all files."
    )
    include: str = Field("", description="With `json`: files to put inside, separated by commas.")
    format: Literal["png", "jpg", "webp", "same"] = Field(
        "png", description="Of the picture without text."
    )
    threshold: float | None = Field(None, ge=0, le=1, description="Of text pixels.")
    region: str | None = Field(
        None, description="Erase text only here: `x1,y1,x2,y2`, or a mask image as a file."
    )
    dilation: int = Field(
        DILATION, ge=0, le=MAX_DILATION, description="Reach of text removal, in pixels."
    )
    decision: Literal["component", "pixel"] = Field(
        "component", description="Decide per word and stroke, or per pixel."
    )
    composite: Literal["segmentation", "difference"] | None = Field(
        None, description="What text removal replaces; by default segmented text."
    )
    min_area: int = Field(
        MIN_AREA, ge=0, description="Pixels of the smallest region that is listed."
    )
    page: int = Field(1, ge=1, description="Of a TIFF or PDF.")


@dataclass(frozen=True)
class Form:
    """A request.

    Args:
        image: the picture.
        settings: its options.
        mask: image of the region, None without one.
    """

    image: FileInMemory
    settings: Settings
    mask: FileInMemory | None


class MemoryParser(MultiPartParser):
    """Keeps files in memory whatever their size; the body as a whole has a limit."""

    spool_max_size = 2**62


async def read_form(request: Request, limits: Limits) -> Form:
    """Read a request; raises Problem."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Problem(415, "Send the picture as multipart/form-data, in the field 'image'.")
    try:
        items = await asyncio.wait_for(_parse(request, limits.max_bytes), limits.upload_time)
    except asyncio.TimeoutError:
        raise Problem(408, "The request took too long to arrive.") from None
    except MultiPartException as error:
        raise Problem(422, f"The form cannot be read: {error.message}") from None
    try:
        return await _form(items)
    finally:
        await items.close()


async def _parse(request: Request, max_bytes: int) -> FormData:
    stream = _bounded(request, max_bytes)
    parser = MemoryParser(
        Headers(raw=request.headers.raw),
        stream,
        max_files=2,
        max_fields=20,
        max_part_size=MAX_FIELD,
    )
    return await parser.parse()


async def _bounded(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body; too large a one is read to its end, so that the client sees the answer."""
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length <= max_bytes:
            yield chunk
    if length > max_bytes:
        megabytes = f"{max_bytes / 1e6:.3g} MB"
        raise Problem(413, f"The request is larger than the limit of {megabytes}.")


async def _form(items: FormData) -> Form:
    fields: dict[str, Any] = {}
    files: dict[str, FileInMemory] = {}
    for key, value in items.multi_items():
        if key in fields or key in files:
            raise Problem(422, f"The field {key!r} is given twice.")
        if isinstance(value, UploadFile):
            files[key] = FileInMemory(_file_name(value.filename), await value.read())
        elif value:  # an empty field of a form is no answer
            fields[key] = value
    image, mask = files.pop("image", None), files.pop("region", None)
    if image is None:
        raise Problem(422, "The picture is missing: send it as a file in the field 'image'.")
    if files:
        raise Problem(422, f"The field {next(iter(files))!r} is not a file.")
    try:
        return Form(image, Settings(**fields), mask)
    except ValidationError as error:
        raise Problem(422, _sentence(error)) from None


def _file_name(name: str | None) -> str:
    """The last part of a path of any system."""
    return (name or "").replace("\\", "/").rpartition("/")[2] or "image"


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"Unknown field {name!r}, expected one of {', '.join(Settings.model_fields)}."
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"The field {name!r} is {first['input']!r}: {message}."


def parse_box(text: str) -> tuple[int, int, int, int]:
    """`x1,y1,x2,y2` -> a box; raises Problem."""
    try:
        left, top, right, bottom = map(int, text.split(","))
    except ValueError:
        raise Problem(
            422, f"The field 'region' is {text!r}: expected x1,y1,x2,y2 in pixels, or a mask image."
        ) from None
    return left, top, right, bottom
