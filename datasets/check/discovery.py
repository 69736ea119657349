"""Discovery: the data sets at the given paths, with the files of their samples."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets.base import DATASETS, TextDataset
from datasets.config import read_config
from datasets.files import Folder, Item, read_splits
from datasets.scut_enstext import existing_spelling
from utils.image import SUFFIXES, read_rgb

SPLITS = ("train", "val", "test")


@dataclass
class Found:
    """A data set on disk.

    Args:
        root: its folder.
        dataset: its class.
        samples: split and files of each sample; missing targets are None.
        problems: (file, message) of each fault that shows without reading an image.
    """

    root: Path
    dataset: type[TextDataset]
    samples: list[tuple[str, Item]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def complain(self, path: Path, message: str) -> None:
        """Add a problem."""
        self.problems.append((str(path), message))


def find_datasets(paths: Iterable[Path], data_root: Path) -> list[Found]:
    """Data sets at or below folders, or of YAML files (below `data_root`), each once.

    Raises ValueError naming a path that does not exist or holds no data set.
    """
    located: dict[tuple[Path, type[TextDataset]], tuple[Path, list[str]]] = {}
    for path in paths:
        for root, dataset, splits in _locate(path, data_root):
            _, expected = located.setdefault((root.resolve(), dataset), (root, []))
            expected += splits
    return [_find(root, dataset, splits) for (_, dataset), (root, splits) in located.items()]


def _locate(path: Path, data_root: Path) -> list[tuple[Path, type[TextDataset], list[str]]]:
    """Root, class and configured splits of the data sets of one path."""
    if path.suffix in (".yaml", ".yml"):
        config = read_config(path)
        root = existing_spelling(data_root / config.root)
        if not root.is_dir():
            raise ValueError(f"{path}: {root}: missing folder")
        return [(root, DATASETS[config.dataset], [config.split])]
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder or YAML file")
    roots = list(_search(path, set()))
    if not roots:
        raise ValueError(f"{path}: no data set here; see the layouts in the README")
    return [(root, DATASETS[name], []) for root, name in roots]


def _search(path: Path, seen: set[Path]) -> Iterator[tuple[Path, str]]:
    """Roots and registered names of the data sets at or below a folder; they are not nested."""
    if path.resolve() in seen:  # a link may lead back
        return
    seen.add(path.resolve())
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
    splits = [root / split for split in SPLITS if (root / split / "image").is_dir()]
    if not splits:
        return None
    labels = splits[0] / "label"
    if (splits[0] / "mask").is_dir() or not labels.is_dir():
        return "scut_enstext"
    # Without masks the labels tell: boxes are text files, segmentation labels are grey.
    files = sorted(path for path in labels.iterdir() if not path.name.startswith("."))
    if any(path.suffix == ".txt" for path in files):
        return "detection_folders"
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    return "segmentation_folders" if pictures and _is_grey(pictures[0]) else "scut_enstext"


def _is_grey(path: Path) -> bool:
    try:
        red, green, blue = (channel.tobytes() for channel in read_rgb(path).split())
    except ValueError:
        return path.suffix.lower() == ".png"
    return red == green == blue


def _find(root: Path, dataset: type[TextDataset], expected: list[str]) -> Found:
    """Samples of the usual splits and of the expected ones, of which each must have a sample."""
    found = Found(root, dataset)
    parts = [part for split in expected for part in split.split("+")]
    if dataset.split_file:
        _add_listed(found, root / dataset.split_file)
    else:
        for split in dict.fromkeys((*SPLITS, *parts)):
            folders = dataset.layout(root, split)
            if folders["image"].path.is_dir():
                files = _list_files(found, folders)
                _add_samples(found, split, files["image"], files)
    splits = {split for split, _ in found.samples}
    for split in expected:
        if splits.isdisjoint(split.split("+")):
            found.complain(root, f"no sample of split {split!r}")
    return found


def _add_listed(found: Found, split_file: Path) -> None:
    try:
        splits = read_splits(split_file)
    except ValueError as error:
        found.complain(split_file, str(error).removeprefix(f"{split_file}: "))
        return
    seen: dict[str, str] = {}
    for split, names in splits.items():
        files = _list_files(found, found.dataset.layout(found.root, split))
        for name in names:
            if name in seen:
                found.complain(split_file, f"{name} is in {seen[name]} and {split}")
            elif name not in files["image"]:
                found.complain(split_file, f"no image {name}.* of {split}")
        new = [name for name in names if name not in seen and name in files["image"]]
        _add_samples(found, split, new, files)
        seen |= dict.fromkeys(names, split)


def _add_samples(
    found: Found, split: str, names: Iterable[str], files: Mapping[str, Mapping[str, Path]]
) -> None:
    targets = {field: paths for field, paths in files.items() if field != "image"}
    for name in names:
        paths = {field: paths.get(name) for field, paths in targets.items()}
        found.samples.append((split, Item(name, files["image"][name], **paths)))


def _list_files(found: Found, folders: Mapping[str, Folder]) -> dict[str, dict[str, Path]]:
    """Field -> name -> file; notes folders without files and files without a partner."""
    files: dict[str, dict[str, Path]] = {}
    for field_name, folder in folders.items():
        if folder.optional and not folder.path.is_dir():
            continue
        files[field_name] = {}
        try:
            files[field_name] = folder.files()
        except ValueError as error:
            path, _, reason = str(error).partition(": ")
            found.complain(Path(path), reason)
    images = files["image"]
    for field_name, targets in files.items():
        if images and targets:  # otherwise the problem is the folder
            for name in images.keys() - targets.keys():
                found.complain(images[name], folders[field_name].missing(name))
            for name in targets.keys() - images.keys():
                found.complain(targets[name], folders["image"].missing(name))
    return files
