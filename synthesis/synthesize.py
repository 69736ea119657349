"""Make a data set for all three tasks: `python -m synthesis.synthesize`."""

import argparse
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from tqdm import tqdm

from synthesis.layouts import (
    DETECTION,
    MANIFEST,
    REMOVAL,
    SEGMENTATION,
    SPLITS,
    detection_files,
    removal_files,
    sample_name,
    segmentation_files,
    write_files,
    write_manifest,
    write_split,
)
from synthesis.photo.backgrounds import find_photographs, split_photographs
from synthesis.preview import write_preview
from synthesis.samples import (
    Materials,
    Mix,
    detection_sample,
    removal_sample,
    segmentation_sample,
)
from synthesis.sampling import generator
from synthesis.text.fonts import FontBook, find_faces, load_faces
from utils.cli import Parser, parse_bool, run

SMALLEST_SIZE = 128  # pixels; on less the largest words would not fit
PREVIEW, PREVIEW_SAMPLES = "preview.png", 24
DEFAULT_MIX = Mix()


@dataclass(frozen=True)
class Recipe:
    """Everything that the content of the data set depends on.

    Args:
        output_dir: folder to write to.
        photographs: backgrounds of each split.
        fonts: to write with.
        size: side of the pictures in pixels.
        seed: of all draws.
        avoid_text: whether crops of photographs with text-like structure are avoided.
        mix: shares of kinds of scenes.
    """

    output_dir: Path
    photographs: dict[str, list[Path]]
    fonts: FontBook
    size: int
    seed: int
    avoid_text: bool
    mix: Mix = DEFAULT_MIX

    def make(self, split: str, index: int) -> list[dict]:
        """Write sample `index` of a split, for all tasks; returns its records for the manifest.

        It depends on the recipe, the split and the index only.
        """
        materials = Materials(
            self.photographs[split], self.fonts, self.size, self.avoid_text, self.mix
        )
        name = sample_name(split, index)
        rngs = [generator(self.seed, SPLITS.index(split), index, task) for task in range(3)]
        removal = removal_sample(rngs[0], materials)
        segmentation = segmentation_sample(rngs[1], materials)
        detection = detection_sample(rngs[2], materials)
        files = removal_files(split, name, removal) | segmentation_files(name, segmentation)
        write_files(self.output_dir, files | detection_files(split, name, detection))
        records = {
            "text_removal": removal.record,
            "text_segmentation": segmentation.record,
            "tampered_text_detection": detection.record,
        }
        return [
            {"task": task, "split": split, "name": name} | record
            for task, record in records.items()
        ]


def synthesize(
    recipe: Recipe, counts: dict[str, int], workers: int, progress: bool = True
) -> list[dict]:
    """Write `counts[split]` samples of every split and the manifest; returns its records.

    The bytes written do not depend on `workers`, the number of processes; 0 stays in this one.
    """
    jobs = [(split, index) for split in SPLITS for index in range(counts[split])]
    records = []
    bar = tqdm(total=len(jobs), unit="sample", disable=None if progress else True)
    with bar:
        for made in _results(recipe, jobs, workers):
            records += made
            bar.update()
    names = {
        split: [sample_name(split, index) for index in range(counts[split])] for split in SPLITS
    }
    write_split(recipe.output_dir, names)
    write_manifest(recipe.output_dir, records)
    return records


def _results(recipe: Recipe, jobs: Sequence[tuple[str, int]], workers: int) -> Iterator[list[dict]]:
    if workers == 0:
        _start_worker(recipe)
        yield from map(_work, jobs)
        return
    with multiprocessing.Pool(workers, _start_worker, (recipe,)) as pool:
        yield from pool.imap(_work, jobs, chunksize=4)


_recipe: Recipe | None = None  # of this worker process


def _start_worker(recipe: Recipe) -> None:
    global _recipe  # noqa: PLW0603 - the only way to hand a pool's workers something once
    _recipe = recipe
    cv2.setNumThreads(1)  # the processes share the cores


def _work(job: tuple[str, int]) -> list[dict]:
    return _recipe.make(*job)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(
        prog="python -m synthesis.synthesize",
        description="Write photographs with synthetic text and exact labels in the layouts of "
        "SCUT-EnsText, TextSeg and Tampered-IC13.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--output_dir", type=Path, default=Path("data/synthetic"), help="folder to write to")
    add("--num_train", type=int, default=2000, help="training samples, each one image per task")
    add("--num_test", type=int, default=200, help="test samples")
    add("--backgrounds", type=Path, nargs="+", default=[], metavar="DIR",
        help="folders of photographs; without it those that scikit-image ships")  # fmt: skip
    add("--test_backgrounds", type=Path, nargs="+", default=[], metavar="DIR",
        help="the same for the test split; without it every fourth of the others")  # fmt: skip
    add("--fonts", type=Path, nargs="+", default=[], metavar="DIR",
        help="folders of fonts; without it those of the system")  # fmt: skip
    add("--size", type=int, default=512, help="side of the pictures in pixels")
    add("--seed", type=int, default=0, help="the same seed gives the same bytes")
    add(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes; 0: none besides this one",
    )
    add("--avoid_text", type=parse_bool, default=True, metavar="BOOL",
        help="avoid crops of photographs that seem to hold text already")  # fmt: skip
    add("--pages", type=float, default=0.0, metavar="SHARE",
        help="share of scenes that are a printed page")  # fmt: skip
    add("--decoys", type=float, default=0.0, metavar="SHARE",
        help="share of the others that also show railings, branches, tiles")  # fmt: skip
    add("--honest", type=float, default=Mix.honest, metavar="SHARE",
        help="share of the photographs for tampered text detection without a forgery")  # fmt: skip
    add("--developed", type=float, default=0.0, metavar="SHARE",
        help="share of pictures without a forgery that are denoised, sharpened, drawn")  # fmt: skip
    add(
        "--preview",
        action="store_true",
        help=f"write preview.png, {PREVIEW_SAMPLES} samples with labels",
    )
    add("--overwrite", type=parse_bool, default=False, metavar="BOOL",
        help="replace a synthetic data set that is in the folder")  # fmt: skip
    return parser


def main() -> None:
    """The command."""
    options = build_parser().parse_args()
    _check(options)
    started, cpu_started = time.monotonic(), _cpu_seconds()
    fonts = FontBook(load_faces(options.fonts) if options.fonts else find_faces())
    photographs = _photographs(options.backgrounds, options.test_backgrounds)
    _clear(options.output_dir, options.overwrite)
    write_manifest(options.output_dir, [])  # an interrupted run can be overwritten, too
    print(_materials_line(fonts, photographs), flush=True)
    recipe = Recipe(
        options.output_dir,
        photographs,
        fonts,
        options.size,
        options.seed,
        options.avoid_text,
        Mix(options.pages, options.decoys, options.honest, options.developed),
    )
    counts = {"train": options.num_train, "test": options.num_test}
    records = synthesize(recipe, counts, options.workers)
    seconds, cpu = time.monotonic() - started, _cpu_seconds() - cpu_started
    print(_summary(options.output_dir, records, counts, seconds, cpu, options.workers))
    if options.preview:
        path = options.output_dir / PREVIEW
        write_preview(options.output_dir, _preview_names(counts), path)
        print(f"preview: {path}")


def _check(options: argparse.Namespace) -> None:
    if min(options.num_train, options.num_test, options.workers) < 0:
        raise ValueError("--num_train, --num_test and --workers cannot be negative")
    if options.num_train + options.num_test == 0:
        raise ValueError("--num_train and --num_test are both 0: nothing to do")
    if options.size < SMALLEST_SIZE:
        raise ValueError(f"--size {options.size} is too small, expected at least {SMALLEST_SIZE}")
    for name in ("pages", "decoys", "honest", "developed"):
        if not 0 <= getattr(options, name) <= 1:
            raise ValueError(f"--{name} {getattr(options, name)} is not a share from 0 to 1")
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed} is negative")


def _photographs(folders: Sequence[Path], test_folders: Sequence[Path]) -> dict[str, list[Path]]:
    photographs = find_photographs(folders)
    if not test_folders:
        return split_photographs(photographs)
    return {"train": photographs, "test": find_photographs(test_folders)}


def _clear(output_dir: Path, overwrite: bool) -> None:
    """Make sure that no file of another data set stays among the new ones."""
    if not output_dir.exists() or not any(output_dir.iterdir()):
        return
    if not overwrite or not (output_dir / MANIFEST).is_file():
        hint = "pass --overwrite true" if (output_dir / MANIFEST).is_file() else "choose another"
        raise ValueError(f"{output_dir}: the folder is not empty, {hint}")
    for tree in (REMOVAL, SEGMENTATION, DETECTION):
        shutil.rmtree(output_dir / tree, ignore_errors=True)
    (output_dir / PREVIEW).unlink(missing_ok=True)
    (output_dir / MANIFEST).unlink()


def _materials_line(fonts: FontBook, photographs: dict[str, list[Path]]) -> str:
    scripts, count = ", ".join(fonts.scripts), len(set().union(*photographs.values()))
    return f"{count} photographs, {len(fonts.faces)} fonts for {scripts}"


def _summary(
    output_dir: Path,
    records: list[dict],
    counts: dict[str, int],
    seconds: float,
    cpu: float,
    workers: int,
) -> str:
    total = sum(counts.values())
    words = sum(len(record["words"]) for record in records)
    forgeries = [forgery for record in records for forgery in record.get("forgeries", ())]
    kinds = sorted({forgery["kind"] for forgery in forgeries})
    shares = [f"{kind} {sum(forgery['kind'] == kind for forgery in forgeries)}" for kind in kinds]
    return "\n".join(
        [
            f"{output_dir}: {counts['train']} training, {counts['test']} test samples of each task",
            f"{words} words, {len(forgeries)} forgeries ({', '.join(shares) or 'none'})",
            f"{seconds:.1f} s with {workers} workers: {total / seconds:.1f} samples/s "
            f"({cpu / total * 1000:.0f} ms of processor time a sample)",
        ]
    )


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _preview_names(counts: dict[str, int]) -> list[tuple[str, str]]:
    split = "train" if counts["train"] else "test"
    third = PREVIEW_SAMPLES // 3
    names = [(split, sample_name(split, index)) for index in range(min(third, counts[split]))]
    return names * 3


if __name__ == "__main__":
    run(main)
