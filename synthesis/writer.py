"""Writing a data set, in one process or several."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from synthesis import layouts, samples
from synthesis.layouts import SPLITS, sample_name, write_files
from synthesis.records import Record
from synthesis.sampling import generator
from utils.processes import map_in_processes

Job = tuple[str, int]  # split and index of a sample
_TASKS: tuple[tuple[str, Callable[..., Any], Callable[..., dict[str, bytes]]], ...] = (
    ("text_removal", samples.removal_sample, layouts.removal_files),
    ("text_segmentation", samples.segmentation_sample, layouts.segmentation_files),
    ("tampered_text_detection", samples.detection_sample, layouts.detection_files),
)


@dataclass(frozen=True)
class DatasetWriter:
    """Writes synthetic samples for all tasks; all bytes follow from its arguments.

    Args:
        output_dir: folder to write to.
        sources: of the samples, by split.
        seed: of all draws.
    """

    output_dir: Path
    sources: Mapping[str, samples.SampleSource]
    seed: int

    def write(self, counts: Mapping[str, int], workers: int, progress: bool = True) -> list[Record]:
        """Write `counts[split]` samples of every split and the manifest; returns its records.

        The bytes do not depend on `workers`, the number of processes; 0 stays in this process.
        """
        jobs = [(split, index) for split in SPLITS for index in range(counts[split])]
        written = self._run(jobs, workers)
        bar = tqdm(written, total=len(jobs), unit="sample", disable=None if progress else True)
        records = [record for sample in bar for record in sample]
        layouts.write_split(self.output_dir, counts)
        layouts.write_manifest(self.output_dir, records)
        return records

    def _run(self, jobs: Sequence[Job], workers: int) -> Iterator[list[Record]]:
        # One thread per process: they share the cores. Here as well, because a process forked from
        # one with threads can hang.
        one_thread = functools.partial(cv2.setNumThreads, 1)
        one_thread()
        return map_in_processes(self.write_sample, jobs, workers, 4, one_thread)

    def write_sample(self, job: Job) -> list[Record]:
        """Write a sample for all tasks; returns its records for the manifest."""
        split, index = job
        name, records = sample_name(split, index), []
        for number, (task, draw_sample, files) in enumerate(_TASKS):
            rng = generator(self.seed, SPLITS.index(split), index, number)
            sample = draw_sample(rng, self.sources[split])
            write_files(self.output_dir, files(split, name, sample))
            records.append({"task": task, "split": split, "name": name} | sample.record)
        return records
