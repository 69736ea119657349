"""Files, folders, patterns and lists on a command line -> images and where results go."""

import glob
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from upocr.picture import SUFFIXES


@dataclass
class Input:
    """One file.

    Args:
        path: of the file.
        folder: where its results go, relative to the folder of all results.
    """

    path: Path
    folder: Path = Path()


def collect_inputs(
    names: Iterable[str],
    recursive: bool,
    lines: Iterable[str],
    output_dir: Path,
    results: Collection[Path],
) -> list[Input]:
    """Files that `names` stand for, in order, each once.

    A name is a file, a folder (its images, with `recursive` those below it too, whose results keep
    their folders), a pattern such as `scans/*.png`, or `-` for one name in each of `lines`.
    Files that do not exist are listed too, to be reported with the others. What earlier runs wrote
    is no image of a folder or pattern: `results` (resolved paths), and all of an `output_dir` that
    lies in the folder. Raises ValueError for a folder or pattern without images, and where two
    files would share the names of their results.
    """
    named = [name for given in names for name in (_stripped(lines) if given == "-" else [given])]
    inputs = [
        found for name in named for found in _expand(name, recursive, output_dir.resolve(), results)
    ]
    unique = {found.path.resolve(): found for found in inputs}
    if not unique:
        raise ValueError("no images are named")
    _check_names(list(unique.values()))
    return list(unique.values())


def _stripped(lines: Iterable[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]


def _expand(name: str, recursive: bool, output_dir: Path, results: Collection[Path]) -> list[Input]:
    path = Path(name)
    if path.is_dir():
        found = _without(results, _images_in(path, recursive, output_dir))
        hint = "" if recursive else ", --recursive true looks further down"
        if not found:
            raise ValueError(f"{name}: no images in this folder{hint}")
        return found
    if path.exists() or not glob.has_magic(name):
        return [Input(path)]
    matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
    found = [
        Input(match) for match in matches if match.is_file() and match.suffix.lower() in SUFFIXES
    ]
    found = _without(results, found)
    if not found:
        raise ValueError(f"{name}: no image matches this pattern")
    return found


def _without(results: Collection[Path], inputs: list[Input]) -> list[Input]:
    return [found for found in inputs if found.path.resolve() not in results]


def _images_in(folder: Path, recursive: bool, output_dir: Path) -> list[Input]:
    paths = sorted(folder.rglob("*") if recursive else folder.iterdir())
    if folder.resolve() in output_dir.parents:
        paths = [path for path in paths if output_dir not in path.resolve().parents]
    return [
        Input(path, path.parent.relative_to(folder))
        for path in paths
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]


def _check_names(inputs: list[Input]) -> None:
    owners = defaultdict(list)
    for found in inputs:
        owners[found.folder / found.path.stem].append(str(found.path))
    for result, paths in owners.items():
        if len(paths) > 1:
            raise ValueError(f"{' and '.join(paths)} would both write the results {result}.*")
