"""Files of the samples: folders in natural order, names of a split, pairs of image and target."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.files import read_json
from utils.image import SUFFIXES


@dataclass(frozen=True)
class Item:
    """Files of one sample: `image`, named NAME with any suffix, and its targets, None if absent."""

    name: str
    image: Path
    label: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class Folder:
    """Folder with one file NAME + ending + suffix per sample.

    Args:
        path: of the folder.
        suffixes: of its files, in lower case; other files are ignored.
        ending: of its files; others are ignored.
        optional: whether evaluation works without this folder.
    """

    path: Path
    suffixes: Sequence[str] = SUFFIXES
    ending: str = ""
    optional: bool = False

    def files(self) -> dict[str, Path]:
        """Name of the sample -> its file, in natural order; raises as `list_files`."""
        files, end = list_files(self.path, self.suffixes), self.ending
        return {stem.removesuffix(end): path for stem, path in files.items() if stem.endswith(end)}

    def missing(self, name: str) -> str:
        """The message for a sample without a file in this folder."""
        return f"no file {name}{self.ending}.* in {self.path}"


def list_files(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    """Files with one of the suffixes: name without the last suffix -> path, in natural order.

    Natural order (2 before 10) is the same on every file system. Raises ValueError if the folder is
    missing or has no such file, or if two files differ only in their suffix.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: missing folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=_natural_key):
        # macOS leaves ._1.jpg beside 1.jpg.
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(f"{path}: {files[path.stem].name} in this folder has the same name")
        files[path.stem] = path
    if not files:
        raise ValueError(f"{folder}: empty folder, expected files {' '.join(suffixes)}")
    return files


def _natural_key(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), part) if part.isdecimal() else (0, part) for part in parts]


def pair_files(
    folders: Mapping[str, Folder], names: Iterable[str] | None = None, source: Path | None = None
) -> list[Item]:
    """Samples from the folders `image`, `label`, `mask`: all images, or the names in `source`.

    Raises ValueError naming the folder or file that is missing.
    """
    files = {
        field: folder.files()
        for field, folder in folders.items()
        if folder.path.is_dir() or not folder.optional
    }
    items = []
    for name in files["image"] if names is None else names:
        if name not in files["image"]:
            raise ValueError(f"{source}: no image {name}.* in {folders['image'].path}")
        for field, paths in files.items():
            if name not in paths:
                raise ValueError(f"{files['image'][name]}: {folders[field].missing(name)}")
        items.append(Item(name, **{field: paths[name] for field, paths in files.items()}))
    return items


def match_folders(first: Folder, second: Folder) -> dict[str, tuple[Path, Path]]:
    """Name of the sample -> its files in two folders, in natural order.

    In one folder, files with the ending of the one kind are not of the other kind. Raises
    ValueError for a folder without files, and for a file without a partner.
    """
    files, others = first.files(), second.files()
    if second.ending and not first.ending:
        files = {name: path for name, path in files.items() if path not in others.values()}
    if first.ending and not second.ending:
        others = {name: path for name, path in others.items() if path not in files.values()}
    if not files:
        raise ValueError(f"{first.path}: no image of a name that ends with {first.ending!r}")
    for name, path in (files | others).items():
        if name not in files or name not in others:
            raise ValueError(f"{path}: {(second if name in files else first).missing(name)}")
    return {name: (path, others[name]) for name, path in files.items()}


def read_splits(path: Path) -> dict[str, list[str]]:
    """Split -> names of its samples, from a JSON file; raises ValueError naming the file."""
    splits = read_json(path)
    if not isinstance(splits, dict) or not all(map(_is_name_list, splits.values())):
        raise ValueError(f"{path}: expected lists of names, like {{'train': ['a00001'], ...}}")
    return splits


def _is_name_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def names_of_split(path: Path, split: str) -> list[str]:
    """Names of a split, or of several joined by "+"; raises ValueError naming the file."""
    splits = read_splits(path)
    for part in split.split("+"):
        check_split(part, list(splits))
    names = [name for part in split.split("+") for name in splits[part]]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: {twice} is twice in split {split!r}")
    if not names:
        raise ValueError(f"{path}: split {split!r} is empty")
    return names


def check_split(split: str, choices: Sequence[str]) -> None:
    """Raise ValueError for a split that the data set does not have."""
    if split not in choices:
        raise ValueError(f"unknown split {split!r}, expected one of {', '.join(choices)}")
