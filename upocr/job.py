"""A run over files: results on disk, one record per file, finished files skipped."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from upocr.files import resolved
from upocr.inputs import Input
from upocr.picture import Picture, read_pages, write_pictures
from upocr.predictor import UPOCR
from upocr.quote import printable
from upocr.records import Record, Records, record_files
from upocr.results import Result, TextRemoval
from upocr.tasks import TEXT_REMOVAL


@dataclass
class Job:
    """A model, what it does with every file, and the records of the folder of results.

    Args:
        model: the model.
        tasks: of every file.
        run_options: further arguments of `UPOCR.run`.
        save_options: arguments of `Result.save`.
        records: of the folder of results.
        settings: recorded; a file of an earlier run is finished only if its settings are the same.
        overwrite: whether finished files are done again.
    """

    model: UPOCR
    tasks: tuple[str, ...]
    run_options: dict[str, Any]
    save_options: dict[str, Any]
    records: Records
    settings: dict[str, Any]
    overwrite: bool = True
    _inputs: set[Path] = field(default_factory=set, init=False)  # resolved; never overwritten
    _owners: dict[Path, Path] = field(default_factory=dict, init=False)  # result -> its input

    def run(self, inputs: list[Input]) -> list[str]:
        """Work on all files; return one error message per file that failed."""
        self._inputs = {resolved(each.path) for each in inputs}
        errors = []
        try:
            for each in tqdm(inputs, desc="images", unit="image"):
                record = self._finished(each) or self._file(each)
                self.records.add(record)
                errors += [record["error"]] if "error" in record else []
        finally:  # an interrupted run keeps the records of finished files
            self.records.write()
        return errors

    def _finished(self, found: Input) -> Record | None:
        """Record of an earlier run that did this file."""
        if self.overwrite:
            return None
        record = self.records.finished(found.path, self.tasks, self.settings)
        if record:
            files = record_files(record)
            self._owners |= {self.records.folder / name: found.path for name in files}
        return record

    def _file(self, found: Input) -> Record:
        """Do one file and return its record, with the reason in `error` if it failed."""
        start = time.perf_counter()
        record: Record = {"input": str(found.path), "tasks": list(self.tasks)}
        record |= {"options": self.settings, "pages": []}
        try:
            self._pages(found, record["pages"])
        except (ValueError, OSError) as error:
            message = " ".join(str(error).split())
            path = str(found.path)
            record["error"] = message if path in message else f"{path}: {message}"
        return record | {"seconds": round(time.perf_counter() - start, 3)}

    def _pages(self, found: Input, pages: list[Record]) -> None:
        """Do the pages of one file, adding the record of each to `pages`."""
        folder = self.records.folder / found.folder
        removed = []
        for picture in read_pages(found.path, self.model.max_pixels):
            start = time.perf_counter()
            results = self._results(picture)
            names = [name for each in results.values() for name in each.files(**self.save_options)]
            self._claim([folder / name for name in names], found.path)
            height, width = picture.size
            page: Record = {"page": picture.name, "width": width, "height": height}
            page |= {"notes": list(picture.notes)} if picture.notes else {}
            for task, result in results.items():
                result.save(folder, **self.save_options)
                page[task] = result.summary()
            page["files"] = [str(found.folder / name) for name in names]
            pages.append(page | {"seconds": round(time.perf_counter() - start, 3)})
            removal = results.get(TEXT_REMOVAL.name)
            if isinstance(removal, TextRemoval) and self.save_options["format"] == "same":
                removed.append(removal.picture)
        if len(removed) > 1:  # of a TIFF
            name = f"{found.path.stem}.removed.tif"
            self._claim([folder / name], found.path)
            write_pictures(removed, folder / name)
            pages[0]["files"].append(str(found.folder / name))

    def _results(self, picture: Picture) -> dict[str, Result]:
        total = self.model.num_windows(picture.size)
        name = printable(picture.name)
        with tqdm(total=total, desc=name, unit="window", leave=False, delay=2) as bar:
            return self.model.run(picture, self.tasks, progress=bar.update, **self.run_options)

    def _claim(self, results: list[Path], source: Path) -> None:
        """Refuse to write over an image of this run, and over results of another one."""
        for result in results:
            if resolved(result) in self._inputs:
                raise ValueError(
                    f"{result} is an image of this run and would be overwritten; choose another "
                    "--output_dir"
                )
            owner = self._owners.setdefault(result, source)
            if owner != source:
                raise ValueError(f"{source}: {owner} has written {result} already")
