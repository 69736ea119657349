"""What is done with every file: read ahead, run the network, write behind."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from upocr.inputs import Input, resolve
from upocr.journal import Journal
from upocr.ledger import begin, finish
from upocr.picture import Picture, read_pages, write_pictures
from upocr.plan import Plan
from upocr.predictor import UPOCR
from upocr.quote import printable
from upocr.records import Record, Records, content_key, record_files
from upocr.results import Result, TextRemoval
from upocr.tasks import TEXT_REMOVAL

LARGE = 2**24  # pixels of a picture whose results leave memory before the next one is worked on

T = TypeVar("T")


@dataclass(eq=False)
class Doing:
    """A file that is being worked on.

    Args:
        number: in the plan.
        found: the file.
        record: grows page by page; holds the reason in `error` if the file failed.
        seconds: of work so far.
        removed: pages of one TIFF.
    """

    number: int
    found: Input
    record: Record
    seconds: float = 0
    removed: list[Picture] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        """Whether nothing more is to be done."""
        return "error" in self.record

    def fail(self, error: Exception) -> None:
        """Record why nothing more is done."""
        message = " ".join(str(error).split())
        path = str(self.found.path)
        self.record["error"] = message if path in message else f"{path}: {message}"


@dataclass(frozen=True)
class Step:
    """A page of a file, or why there is none.

    Args:
        doing: the file.
        picture: the page, or the error.
        seconds: of reading.
    """

    doing: Doing
    picture: Picture | Exception
    seconds: float


@dataclass
class Job:
    """A model, what it does with every file, and the folder of results.

    Args:
        model: the model.
        tasks: of every file.
        run_options: further arguments of `UPOCR.run`.
        save_options: arguments of `Result.save`.
        folder: of results.
        settings: recorded; a file of an earlier run is finished only if its settings are the same.
        overwrite: whether finished files are done again.
        has_bars: whether large pictures show their progress.
    """

    model: UPOCR
    tasks: tuple[str, ...]
    run_options: dict[str, Any]
    save_options: dict[str, Any]
    folder: Path
    settings: dict[str, Any]
    overwrite: bool = True
    has_bars: bool = True
    finished: set[int] = field(default_factory=set, init=False)  # done by an earlier run
    _inputs: set[Path] = field(default_factory=set, init=False)  # resolved; never overwritten
    _owners: dict[Path, Path] = field(default_factory=dict, init=False)  # result -> its input

    def run(
        self,
        plan: Plan,
        records: Records,
        journal: Journal,
        claim: Callable[[int], bool],
        progress: Callable[[], None],
    ) -> None:
        """Do the units of a plan that `claim` gives to this process.

        The next picture is read, and the last one written, while the network works. `records`: of
        earlier runs. `progress` is called after every file.
        """
        self._inputs = {resolve(each.path) for each in plan.inputs}
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as thread:
            writer = Behind(thread)
            steps = ahead(reader, self._steps(self._unfinished(plan, records, claim)))
            for doing, pages in groupby(steps, key=lambda step: step.doing):
                for page in pages:
                    self._page(page, journal, writer)
                writer.call(self._finish, doing, journal)
                progress()
            writer.wait()

    def _unfinished(
        self, plan: Plan, records: Records, claim: Callable[[int], bool]
    ) -> Iterator[Doing]:
        for unit, numbers in enumerate(plan.units):
            done = {number for number in numbers if self._is_finished(plan.inputs[number], records)}
            self.finished |= done
            if len(done) < len(numbers) and claim(unit):
                for number in numbers:
                    if number not in done:
                        yield self._begin(number, plan.inputs[number])

    def _is_finished(self, found: Input, records: Records) -> bool:
        """Whether an earlier run did this file, whose results then stay what they are."""
        if self.overwrite:
            return False
        record = records.finished(found.path, self.tasks, self.settings)
        if record:
            self._owners |= {self.folder / name: found.path for name in record_files(record)}
        return record is not None

    def _begin(self, number: int, found: Input) -> Doing:
        record: Record = {"input": str(found.path), "tasks": list(self.tasks)}
        return Doing(number, found, record | {"options": self.settings, "pages": []})

    def _steps(self, files: Iterable[Doing]) -> Iterator[Step]:
        """Read files, page by page."""
        for doing in files:
            start = time.perf_counter()
            try:
                if doing.found.problem:
                    raise ValueError(doing.found.problem)
                doing.record |= content_key(doing.found.path)
                for picture in read_pages(doing.found.path, self.model.max_pixels):
                    yield Step(doing, picture, time.perf_counter() - start)
                    if doing.has_failed:
                        break
                    start = time.perf_counter()
            except FileNotFoundError:
                yield Step(doing, ValueError("no such file"), time.perf_counter() - start)
            except (ValueError, OSError) as error:
                yield Step(doing, error, time.perf_counter() - start)

    def _page(self, page: Step, journal: Journal, writer: "Behind") -> None:
        """Run the network and have the results written."""
        start, picture = time.perf_counter(), page.picture
        if isinstance(picture, Exception):
            return page.doing.fail(picture)
        if page.doing.has_failed:
            return None
        try:
            results = self._results(picture)
        except (ValueError, OSError) as error:
            return page.doing.fail(error)
        seconds = page.seconds + time.perf_counter() - start
        writer.call(self._write, page.doing, picture, results, seconds, journal)
        if picture.values.size > LARGE:
            writer.wait()
        return None

    def _results(self, picture: Picture) -> dict[str, Result]:
        total, name = self.model.num_windows(picture.size), printable(picture.name)
        quiet = not self.has_bars
        with tqdm(
            total=total, desc=name, unit="window", leave=False, delay=2, disable=quiet
        ) as bar:
            return self.model.run(picture, self.tasks, progress=bar.update, **self.run_options)

    def _write(
        self,
        doing: Doing,
        picture: Picture,
        results: dict[str, Result],
        seconds: float,
        journal: Journal,
    ) -> None:
        """Write the results of a page and add its record."""
        if doing.has_failed:
            return
        start = time.perf_counter()
        names = [name for each in results.values() for name in each.files(**self.save_options)]
        height, width = picture.size
        page: Record = {"page": picture.name, "width": width, "height": height}
        page |= {"notes": list(picture.notes)} if picture.notes else {}
        try:
            page["files"] = self._claim(names, doing, journal)
            for task, result in results.items():
                result.save(self.folder / doing.found.folder, **self.save_options)
                page[task] = result.summary()
        except (ValueError, OSError) as error:
            return doing.fail(error)
        seconds += time.perf_counter() - start
        doing.seconds += seconds
        doing.record["pages"].append(page | {"seconds": round(seconds, 3)})
        removal = results.get(TEXT_REMOVAL.name)
        if isinstance(removal, TextRemoval) and self.save_options["format"] == "same":
            doing.removed.append(removal.picture)

    def _finish(self, doing: Doing, journal: Journal) -> None:
        """Write what belongs to all pages, and put the file on record."""
        start = time.perf_counter()
        if len(doing.removed) > 1 and not doing.has_failed:  # of a TIFF
            try:
                names = self._claim([f"{doing.found.path.stem}.removed.tif"], doing, journal)
                write_pictures(doing.removed, self.folder / names[0])
                doing.record["pages"][0]["files"] += names
            except (ValueError, OSError) as error:
                doing.fail(error)
        seconds = doing.seconds + time.perf_counter() - start
        journal.append(finish(doing.number, doing.record | {"seconds": round(seconds, 3)}))

    def _claim(self, names: list[str], doing: Doing, journal: Journal) -> list[str]:
        """Names of results, relative to the folder of all results, which now belong to a file.

        Raises ValueError rather than write over an image of this run or results of another one.
        """
        source, relative = doing.found.path, [str(doing.found.folder / name) for name in names]
        for result in map(self.folder.joinpath, relative):
            if resolve(result) in self._inputs:
                raise ValueError(
                    f"{result} is an image of this run and would be overwritten; choose another "
                    "--output_dir"
                )
            owner = self._owners.setdefault(result, source)
            if owner != source:
                raise ValueError(f"{source}: {owner} has written {result} already")
        journal.append(begin(doing.number, str(source), relative))
        return relative


def ahead(executor: ThreadPoolExecutor, items: Iterator[T]) -> Iterator[T]:
    """The items, each of which is prepared while its predecessor is in use."""
    waiting = executor.submit(next, items, None)
    while (item := waiting.result()) is not None:
        waiting = executor.submit(next, items, None)
        yield item


class Behind:
    """Calls functions one after another in a thread, a few calls behind the caller.

    Args:
        executor: of one thread.
        most: calls that may be outstanding.
    """

    def __init__(self, executor: ThreadPoolExecutor, most: int = 2) -> None:
        self._executor, self._most = executor, most
        self._calls: deque[Future[None]] = deque()

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have a function called; raises what an earlier call raised."""
        self._calls.append(self._executor.submit(function, *arguments))
        self.wait(self._most)

    def wait(self, most: int = 0) -> None:
        """Wait until at most so many calls are outstanding; raises what one of them raised."""
        while len(self._calls) > most:
            self._calls.popleft().result()
