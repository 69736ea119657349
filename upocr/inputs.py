"""Names on a command line -> image files and the folders of their results."""

import glob
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from upocr.files import resolved
from upocr.picture import SUFFIXES
from upocr.quote import printable

RESULTS_FILE = "results.json"  # of earlier runs
MOST_NAMES = 10  # of files of one kind that are left out


@dataclass
class Input:
    """One file.

    Args:
        path: of the file.
        folder: of its results, relative to the folder of all results.
        name: which the names of its results begin with; of the file without its suffix unless
            several files share that.
        problem: why a name on standard input stands for no image.
    """

    path: Path
    folder: Path = Path()
    name: str = ""
    problem: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or self.path.stem


@dataclass(frozen=True)
class Found:
    """What the names on a command line stand for.

    Args:
        inputs: images, in order and without duplicates.
        others: files of other kinds in folders and among the matches of patterns.
    """

    inputs: list[Input]
    others: list[Path]


def collect_inputs(
    names: Iterable[str],
    recursive: bool,
    lines: Iterable[str],
    output_dir: Path,
    results: Collection[Path],
) -> Found:
    """Files named on a command line.

    A name is a file, a folder (its images; with `recursive` those below it, too, whose results keep
    their folders), a pattern such as `scans/*.png`, or `-` for one name per line of `lines`.
    Missing files are listed, to be reported with the others, and so are lines that stand for
    nothing. Folders and patterns leave out the results of earlier runs: `results` (resolved paths),
    and all of an `output_dir` inside of the folder. Files of one name, such as `a.png` and `a.jpg`,
    keep their suffixes in the names of their results. Raises ValueError for a folder or pattern
    without images, and if two files would share the names of their results nevertheless.
    """
    others: dict[Path, Path] = {}

    def expand(name: str) -> list[Input]:
        return _expand(name, recursive, output_dir, results, others)

    found: list[Input] = []
    for name in names:
        found += _listed(lines, expand) if name == "-" else expand(name)
    unique = {resolved(each.path): each for each in found}
    if not unique:
        raise ValueError("no images are named")
    inputs = list(unique.values())
    _tell_apart([each for each in inputs if not each.problem])
    return Found(inputs, [path for key, path in others.items() if key not in unique])


def _tell_apart(inputs: list[Input]) -> None:
    """Give inputs that share a name their suffixes back; ValueError if they still share it."""
    counts = Counter(each.folder / each.name for each in inputs)
    for each in inputs:
        if counts[each.folder / each.name] > 1:
            each.name = each.path.name
    owners: dict[Path, Path] = {}
    for each in inputs:
        result = each.folder / each.name
        owner = owners.setdefault(result, each.path)
        if owner != each.path:
            raise ValueError(f"{owner} and {each.path} would both write the results {result}.*")


def _listed(lines: Iterable[str], expand: Callable[[str], list[Input]]) -> Iterator[Input]:
    """Inputs of a list; a line that stands for none is one with a problem."""
    for line in lines:
        if name := line.strip():
            try:
                yield from expand(name)
            except (ValueError, OSError) as error:
                yield Input(Path(printable(name)), problem=str(error))


def _expand(
    name: str,
    recursive: bool,
    output_dir: Path,
    results: Collection[Path],
    others: dict[Path, Path],
) -> list[Input]:
    """Images that a name stands for; files of other kinds go to `others`, by resolved path."""
    if "\0" in name:
        raise ValueError("a null character in a name")
    path = Path(name)
    if path.is_dir():
        files = _files_in(path, recursive, resolved(output_dir))
        hint = "" if recursive else "; --recursive true includes the folders below"
        problem = f"no images in this folder{hint}"
    elif path.exists() or not glob.has_magic(name):
        return [Input(path)]
    else:
        matches = map(Path, sorted(glob.glob(name, recursive=True)))
        files = [Input(match) for match in matches if match.is_file()]
        problem = "no image matches this pattern"
    files = [each for each in files if resolved(each.path) not in results]
    others |= {resolved(each.path): each.path for each in files if _is_other(each.path)}
    found = [each for each in files if _is_image(each.path)]
    if not found:
        raise ValueError(f"{name}: {problem}")
    return found


def _files_in(folder: Path, recursive: bool, output_dir: Path) -> list[Input]:
    paths = sorted(folder.rglob("*") if recursive else folder.iterdir())
    if resolved(folder) in output_dir.parents:
        paths = [path for path in paths if output_dir not in resolved(path).parents]
    return [
        Input(path, path.parent.relative_to(folder))
        for path in paths
        if path.is_file() and not path.name.startswith(".")
    ]


def describe_others(others: Sequence[Path]) -> str:
    """One line that counts files of other kinds and names them, many of them by kind."""
    count = "1 file is" if len(others) == 1 else f"{len(others)} files are"
    kinds: dict[str, list[str]] = {}
    for path in others:
        kinds.setdefault(path.suffix.lower() or "no suffix", []).append(str(path))
    listed = [
        f"{len(paths)} x {kind}: {paths[0]} ..." if len(paths) > MOST_NAMES else ", ".join(paths)
        for kind, paths in sorted(kinds.items())
    ]
    return f"{count} of no readable kind and left out: {'; '.join(listed)}"


def _is_other(path: Path) -> bool:
    return not _is_image(path) and path.name != RESULTS_FILE


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES
