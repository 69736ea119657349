"""One request in the thread of the model: decode, predict, encode."""

from dataclasses import dataclass, replace
from itertools import islice

from upocr.composite import chosen_pixels
from upocr.picture import (
    FileInMemory,
    Picture,
    TooManyPixelsError,
    UnknownKindError,
    open_pages,
    output_suffix,
)
from upocr.predictor import UPOCR
from upocr.results import Result
from upocr.server.answers import (
    FILES_OF,
    OF_COMMAND,
    Answer,
    as_file,
    as_json,
    as_zip,
    encoders,
)
from upocr.server.form import Form, parse_box
from upocr.server.information import ROUTES
from upocr.server.problem import Problem
from upocr.server.worker import Job

ALL = "all"
REMOVED = "removed"  # in the format that the request names
DEFAULT_OUTPUT = {"remove": REMOVED, "segment": "mask.png", "detect": "regions.json", ALL: "zip"}


def tasks_of(route: str, model: UPOCR) -> tuple[str, ...]:
    """Tasks of a route; raises Problem if the model was not trained on it."""
    known = tuple(task for task in ROUTES.values() if task in model.tasks)
    if route == ALL:
        return known
    if ROUTES[route] not in known:
        raise Problem(422, f"The model was trained on {', '.join(known)} only.")
    return (ROUTES[route],)


@dataclass(frozen=True)
class Request:
    """What the thread of the model does; see `plan`.

    Args:
        model: the model.
        tasks: to run.
        form: picture and options.
        output: a file, `json` or `zip`.
        included: files inside of the JSON.
        box: region as a box.
        max_pixels: of the picture.
    """

    model: UPOCR
    tasks: tuple[str, ...]
    form: Form
    output: str
    included: tuple[str, ...]
    box: tuple[int, int, int, int] | None
    max_pixels: int

    def __call__(self, job: Job) -> Answer:
        """Decode, predict, encode; raises Problem."""
        settings = self.form.settings
        picture = _read(self.form.image, self.max_pixels, settings.page)
        job.total = self.model.num_windows(picture.size)
        job.advance(0)
        results = self._results(picture, job)
        job.check()
        found = encoders(picture, results, settings.format, settings.dilation)
        removed = f"{REMOVED}.{output_suffix(picture, settings.format)}"
        if self.output == "json":
            included = [removed if name == REMOVED else name for name in self.included]
            return as_json(picture, results, included, found)
        if self.output == "zip":
            kept = [name for name in OF_COMMAND if name in found]
            return as_zip(picture.name, [removed, *kept] if removed in found else kept, found)
        return as_file(picture.name, removed if self.output == REMOVED else self.output, found)

    def _results(self, picture: Picture, job: Job) -> dict[str, Result]:
        settings, mask = self.form.settings, self.form.mask
        region = self.box if mask is None else chosen_pixels(_read(mask, self.max_pixels))
        try:
            return self.model.run(
                picture,
                self.tasks,
                composite=settings.composite,
                threshold=settings.threshold,
                region=region,
                dilation=settings.dilation,
                decision=settings.decision,
                min_area=settings.min_area,
                progress=job.advance,
            )
        except ValueError as error:
            raise Problem(422, str(error)) from None


def plan(model: UPOCR, route: str, form: Form, max_pixels: int, as_json: bool) -> Request:
    """What a request is about; raises Problem for options that do not fit."""
    settings, tasks = form.settings, tasks_of(route, model)
    output = "json" if as_json else settings.output or DEFAULT_OUTPUT[route]
    included = tuple(filter(None, map(str.strip, settings.include.split(","))))
    files = [name for task in tasks for name in FILES_OF[task]]
    if ROUTES["remove"] in tasks:
        files += [REMOVED, "painted.png"]
    files.append("source.png")
    for name in (output, *included):
        choices = [*files, "json", "zip"] if name is output else files
        if name not in choices:
            raise Problem(422, f"Unknown file {name!r}, expected one of {', '.join(choices)}.")
    box = None if settings.region is None else parse_box(settings.region)
    return Request(model, tasks, form, output, included, box, max_pixels)


def _read(file: FileInMemory, max_pixels: int, page: int = 1) -> Picture:
    try:
        pages = open_pages(file, max_pixels)  # which closes the file when it is dropped
        found = next(islice(pages, page - 1, None), None)
        picture = None if found is None else found.read()
    except UnknownKindError as error:
        raise Problem(415, str(error)) from None
    except TooManyPixelsError as error:
        raise Problem(413, str(error).partition(", see ")[0]) from None
    except ValueError as error:
        raise Problem(422, str(error)) from None
    if picture is None:
        raise Problem(422, f"{file.name} has no page {page}.")
    if picture.pages > 1:
        note = f"Page {page} of {picture.pages}; the command reads all pages"
        picture = replace(picture, notes=(*picture.notes, note))
    return picture
