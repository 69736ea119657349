"""Names on a command line -> image files and the folders of their results."""

import glob
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from upocr.picture import SUFFIXES


@dataclass
class Input:
    """One file.

    Args:
        path: of the file.
        folder: of its results, relative to the folder of all results.
        problem: why a name on standard input stands for no image.
    """

    path: Path
    folder: Path = Path()
    problem: str = ""


def collect_inputs(
    names: Iterable[str],
    recursive: bool,
    lines: Iterable[str],
    output_dir: Path,
    results: Collection[Path],
) -> list[Input]:
    """Files named on a command line, in order and without duplicates.

    A name is a file, a folder (its images; with `recursive` those below it, too, whose results keep
    their folders), a pattern such as `scans/*.png`, or `-` for one name per line of `lines`.
    Missing files are listed, to be reported with the others, and so are lines that stand for
    nothing. Folders and patterns leave out the results of earlier runs: `results` (resolved paths),
    and all of an `output_dir` inside of the folder. Raises ValueError for a folder or pattern
    without images, and if two files would share the names of their results.
    """

    def expand(name: str) -> list[Input]:
        return _expand(name, recursive, output_dir, results)

    found: list[Input] = []
    for name in names:
        found += _listed(lines, expand) if name == "-" else expand(name)
    unique = {resolve(each.path): each for each in found}
    if not unique:
        raise ValueError("no images are named")
    owners: dict[Path, Path] = {}
    for each in unique.values():
        if each.problem:
            continue
        result = each.folder / each.path.stem
        owner = owners.setdefault(result, each.path)
        if owner != each.path:
            raise ValueError(f"{owner} and {each.path} would both write the results {result}.*")
    return list(unique.values())


def resolve(path: Path) -> Path:
    """Absolute path without symbolic links; the path itself if it cannot exist."""
    try:
        return Path(os.path.realpath(path))  # unlike Path.resolve, does not mind loops of links
    except (ValueError, OSError):
        return path


def _listed(lines: Iterable[str], expand: Callable[[str], list[Input]]) -> Iterator[Input]:
    """Inputs of a list; a line that stands for none is one with a problem."""
    for line in lines:
        if name := line.strip():
            try:
                yield from expand(name)
            except (ValueError, OSError) as error:
                yield Input(Path(name), problem=str(error))


def _expand(name: str, recursive: bool, output_dir: Path, results: Collection[Path]) -> list[Input]:
    path = Path(name)
    if path.is_dir():
        found = _images_in(path, recursive, output_dir.resolve())
        hint = "" if recursive else "; --recursive true includes the folders below"
        problem = f"no images in this folder{hint}"
    elif path.exists() or not glob.has_magic(name):
        return [Input(path)]
    else:
        matches = map(Path, sorted(glob.glob(name, recursive=True)))
        found = [Input(match) for match in matches if _is_image(match)]
        problem = "no image matches this pattern"
    found = [each for each in found if resolve(each.path) not in results]
    if not found:
        raise ValueError(f"{name}: {problem}")
    return found


def _images_in(folder: Path, recursive: bool, output_dir: Path) -> list[Input]:
    paths = sorted(folder.rglob("*") if recursive else folder.iterdir())
    if folder.resolve() in output_dir.parents:
        paths = [path for path in paths if output_dir not in path.resolve().parents]
    return [
        Input(path, path.parent.relative_to(folder))
        for path in paths
        if _is_image(path) and not path.name.startswith(".")
    ]


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES
