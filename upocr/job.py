"""A run over files: results on disk, one record per file, finished files skipped."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from upocr.composite import RegionLike
from upocr.inputs import Input
from upocr.picture import Picture, read_pages, write_pictures
from upocr.predictor import UPOCR
from upocr.records import Record, Records
from upocr.results import MIN_AREA, Result, TextRemoval


@dataclass
class Job:
    """A model, what it does with every file, and the records of the folder of results.

    Args:
        model: the model.
        records: of the folder of results.
        options: recorded; a file of an earlier run is finished only if its options are the same.
        tasks, composite, threshold, region, min_area: see `UPOCR.run`.
        format, cutout: see `Result.save`.
        overwrite: whether finished files are done again.
    """

    model: UPOCR
    records: Records
    options: Record
    tasks: tuple[str, ...]
    composite: str | None = None
    threshold: float | None = None
    region: RegionLike | None = None
    min_area: int = MIN_AREA
    format: str = "png"
    cutout: bool = False
    overwrite: bool = True
    _inputs: set[Path] = field(default_factory=set, init=False)  # resolved; never overwritten
    _owners: dict[Path, Path] = field(default_factory=dict, init=False)  # result -> its input

    def run(self, inputs: list[Input]) -> list[str]:
        """Work on all files; return one error message per file that failed."""
        self._inputs = {each.path.resolve() for each in inputs}
        errors = []
        try:
            for each in tqdm(inputs, desc="images", unit="image"):
                record = self._finished(each) or self._one(each)
                self.records.add(record)
                errors += [record["error"]] if "error" in record else []
        finally:  # an interrupted run keeps the records of finished files
            self.records.write()
        return errors

    def _finished(self, found: Input) -> Record | None:
        """Record of an earlier run that did this file."""
        if self.overwrite:
            return None
        record = self.records.finished(found.path, self.tasks, self.options)
        if record:
            folder = self.records.folder / found.folder
            self._owners |= {folder / page["page"]: found.path for page in record["pages"]}
        return record

    def _one(self, found: Input) -> Record:
        """Do one file and return its record, with the reason in `error` if it failed."""
        start = time.perf_counter()
        record: Record = {"input": str(found.path), "tasks": list(self.tasks)}
        record |= {"options": self.options, "pages": []}
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
            owner = self._owners.setdefault(folder / picture.name, found.path)
            if owner != found.path:
                raise ValueError(
                    f"{found.path}: {owner} has written the results {folder / picture.name}.* "
                    "already"
                )
            results = self._results(picture)
            page = self._save(picture, results, folder)
            pages.append(page | {"seconds": round(time.perf_counter() - start, 3)})
            if self.format == "same":  # only a TIFF has several pages
                removed += [each.picture for each in results if isinstance(each, TextRemoval)]
        if len(removed) > 1:
            path = folder / f"{found.path.stem}.removed.tif"
            self._protect_inputs([path])
            write_pictures(removed, path)
            pages[0]["files"].append(str(path.relative_to(self.records.folder)))

    def _results(self, picture: Picture) -> list[Result]:
        total = self.model.num_windows(picture.size)
        with tqdm(total=total, desc=picture.name, unit="window", leave=False, delay=2) as bar:
            found = self.model.run(
                picture,
                self.tasks,
                composite=self.composite,
                threshold=self.threshold,
                region=self.region,
                min_area=self.min_area,
                progress=bar.update,
            )
        return list(found.values())

    def _save(self, picture: Picture, results: list[Result], folder: Path) -> Record:
        """Write the results of a page and return its record; no result may replace an input."""
        for result in results:
            self._protect_inputs(folder / name for name in result.files(self.format, self.cutout))
        files = [
            str(path.relative_to(self.records.folder))
            for result in results
            for path in result.save(folder, self.format, self.cutout)
        ]
        height, width = picture.size
        page: Record = {"page": picture.name, "width": width, "height": height}
        page |= {"notes": list(picture.notes)} if picture.notes else {}
        for task, result in zip(self.tasks, results, strict=True):
            page[task] = result.summary()
        return page | {"files": files}

    def _protect_inputs(self, results: Iterable[Path]) -> None:
        for result in results:
            if result.resolve() in self._inputs:
                raise ValueError(
                    f"{result} is an image of this run and would be overwritten; choose another "
                    "--output_dir"
                )
