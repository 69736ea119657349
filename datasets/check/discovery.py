"""Discovery: the data sets at the given paths, with the files of their samples."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets.base import DATASETS, TextDataset
from datasets.config import read_config
from datasets.files import Folder, Item, read_splits
from datasets.scut_enstext import existing_spelling
from utils.files import resolved
from utils.image import SUFFIXES, read_rgb

SPLITS = ("train", "val", "test")

Location = tuple[Path, type[TextDataset]]  # root and class of a data set


@dataclass
class Found:
    """A data set on disk.

    Args:
        root: its folder.
        dataset: its class.
        samples: split and files of each complete sample.
        problems: (file, message) of each fault that shows without reading an image.
    """

    root: Path
    dataset: type[TextDataset]
    samples: list[tuple[str, Item]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def complain(self, path: Path, message: str) -> None:
        """Add a problem; a path that begins the message is dropped."""
        self.problems.append((str(path), message.removeprefix(f"{path}: ")))


def find_datasets(paths: Iterable[Path], data_root: Path) -> list[Found]:
    """Data sets at or below folders, or of YAML files (below `data_root`), each once.

    Raises ValueError naming a path that does not exist or holds no data set.
    """
    expected: dict[Location, list[str]] = {}  # splits of configurations
    roots: dict[Location, Path] = {}
    for path in paths:
        for root, dataset, splits in _locate(path, data_root):
            location = (resolved(root), dataset)
            roots.setdefault(location, root)
            expected.setdefault(location, []).extend(splits)
    return [_find(root, place[1], expected[place]) for place, root in roots.items()]


def _locate(path: Path, data_root: Path) -> list[tuple[Path, type[TextDataset], list[str]]]:
    if path.suffix in (".yaml", ".yml"):
        config = read_config(path)
        root = existing_spelling(data_root / config.root)
        if not root.is_dir():
            raise ValueError(f"{path}: {root}: missing folder")
        return [(root, DATASETS[config.dataset], [config.split])]
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder or YAML file")
    found = [(root, DATASETS[name], list[str]()) for root, name in _search(path, set())]
    if not found:
        raise ValueError(f"{path}: no data set here; see the layouts in docs/data.md")
    return found


def _search(path: Path, seen: set[Path]) -> Iterator[tuple[Path, str]]:
    """Roots and registered names of the data sets at or below a folder; they are not nested."""
    if resolved(path) in seen:  # a link may lead back
        return
    seen.add(resolved(path))
    if name := _recognise(path):
        yield path, name
        return
    for child in sorted(path.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            yield from _search(child, seen)


def _recognise(root: Path) -> str | None:
    if (root / "semantic_label").is_dir():
        return "textseg"
    if any((root / f"{split}_img").is_dir() for split in SPLITS):
        return "tampered_ic13"
    folder = next((root / each for each in SPLITS if (root / each / "image").is_dir()), None)
    if folder is None:
        return None
    if (folder / "mask").is_dir() or not (folder / "label").is_dir():
        return "scut_enstext"
    # Without masks the labels tell: boxes are text files, segmentation labels are grey.
    labels = sorted(path for path in (folder / "label").iterdir() if path.name[0] != ".")
    if any(path.suffix == ".txt" for path in labels):
        return "detection_folders"
    pictures = [path for path in labels if path.suffix.lower() in SUFFIXES]
    return "segmentation_folders" if pictures and _is_grey(pictures[0]) else "scut_enstext"


def _is_grey(path: Path) -> bool:
    try:
        red, green, blue = (channel.tobytes() for channel in read_rgb(path).split())
    except ValueError:
        return path.suffix.lower() == ".png"
    return red == green == blue


def _find(root: Path, dataset: type[TextDataset], expected: list[str]) -> Found:
    """Samples of the usual splits and of the expected ones, of which none may be empty."""
    found = Found(root, dataset)
    parts = [part for split in expected for part in split.split("+")]
    for split, names in _list_splits(found, [*SPLITS, *parts]).items():
        files = _list_files(found, dataset.layout(root, split))
        complete = set.intersection(*(set(paths) for paths in files.values()))
        for name in files["image"] if names is None else names:
            if name in complete:
                item = Item(name, **{field: paths[name] for field, paths in files.items()})
                found.samples.append((split, item))
            elif name not in files["image"]:
                found.complain(root / str(dataset.split_file), f"no image {name}.* of {split}")
    filled = {split for split, _ in found.samples}
    for split in expected:
        if filled.isdisjoint(split.split("+")):
            found.complain(root, f"no sample of split {split!r}")
    return found


def _list_splits(found: Found, candidates: Iterable[str]) -> Mapping[str, list[str] | None]:
    """Splits with their names, None for every image of the folder; a name counts once."""
    if found.dataset.split_file is None:
        layouts = {split: found.dataset.layout(found.root, split) for split in candidates}
        return {split: None for split, each in layouts.items() if each["image"].path.is_dir()}
    path = found.root / found.dataset.split_file
    try:
        splits = read_splits(path)
    except ValueError as error:
        found.complain(path, str(error))
        return {}
    owners: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if owners.setdefault(name, split) != split:
                found.complain(path, f"{name} is in {owners[name]} and {split}")
    return {split: [name for name in owners if owners[name] == split] for split in splits}


def _list_files(found: Found, folders: Mapping[str, Folder]) -> dict[str, dict[str, Path]]:
    """Field -> name -> file; notes folders without files and files without a partner."""
    files: dict[str, dict[str, Path]] = {}
    for key, folder in folders.items():
        if folder.path.is_dir() or not folder.optional:
            try:
                files[key] = folder.files()
            except ValueError as error:
                path, _, reason = str(error).partition(": ")
                found.complain(Path(path), reason)
                files[key] = {}
    images = files["image"]
    for key, targets in files.items():
        if images and targets:  # otherwise the problem is the folder
            for name in images.keys() - targets.keys():
                found.complain(images[name], folders[key].missing(name))
            for name in targets.keys() - images.keys():
                found.complain(targets[name], folders["image"].missing(name))
    return files
