"""Discovery: which data sets are in a folder, and which files belong together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from datasets.check.inspection import FOLDER_VALUES, TEXTSEG_VALUES, Entry
from datasets.config import DATASETS
from datasets.files import list_files
from datasets.scut_enstext import existing_spelling
from datasets.tampered_ic13 import TamperedIC13
from datasets.textseg import TextSeg
from utils.files import read_json
from utils.image import SUFFIXES, read_rgb

SPLITS = ("train", "val", "test")


@dataclass
class Found:
    """A data set on disk.

    Args:
        root: its folder.
        kind: removal, segmentation or detection.
        entries: samples of all splits.
        problems: (file, what is wrong) that show without reading an image: files without a partner.
    """

    root: Path
    kind: str
    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def find_datasets(path: Path, data_root: Path) -> list[Found]:
    """Data sets at or below a folder, or the one of a YAML file (below `data_root`).

    Raises ValueError naming the path if it does not exist or holds no data set.
    """
    if path.suffix in (".yaml", ".yml"):
        root, kind, splits = _read_config(path, data_root)
        found = _find(root, kind, (*SPLITS, *(split for split in splits if split not in SPLITS)))
        if not any(entry.split in splits for entry in found.entries):
            found.problems.append((str(root), f"no sample of split {'+'.join(splits)!r}"))
        return [found]
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder or YAML file")
    roots = list(_search(path, set()))
    if not roots:
        raise ValueError(f"{path}: no data set here; see the layouts in the README")
    return [_find(root, kind, SPLITS) for root, kind in roots]


def merged(datasets: Iterable[Found]) -> list[Found]:
    """One for each folder and kind: two configurations may name two splits of it, or the same."""
    every: dict[tuple[Path, str], Found] = {}
    for found in datasets:
        first = every.setdefault((found.root.resolve(), found.kind), found)
        if first is not found:
            known = {(entry.split, entry.name) for entry in first.entries}
            first.entries += [e for e in found.entries if (e.split, e.name) not in known]
            first.problems += [each for each in found.problems if each not in first.problems]
    return list(every.values())


def _search(path: Path, seen: set[Path]) -> Iterator[tuple[Path, str]]:
    """Data sets and their kinds at or below a folder; none is looked for in another."""
    if path.resolve() in seen:  # a link may lead back
        return
    seen.add(path.resolve())
    if kind := _recognise(path):
        yield path, kind
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
    return _kind_of_labels(labels)


def _kind_of_labels(folder: Path) -> str:
    """Own data without masks: boxes are text files, and segmentation labels are grey pictures."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if any(path.suffix == ".txt" for path in files):
        return "detection_folders"
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    return "segmentation_folders" if pictures and _is_grey(pictures[0]) else "scut_enstext"


def _is_grey(path: Path) -> bool:
    try:
        channels = read_rgb(path).split()
    except ValueError:
        return path.suffix.lower() == ".png"
    return channels[0].tobytes() == channels[1].tobytes() == channels[2].tobytes()


def _read_config(path: Path, data_root: Path) -> tuple[Path, str, list[str]]:
    """Folder, kind and splits of a data configuration."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        root, kind = data_root / config["root"], config["dataset"]
        splits = str(config["split"]).split("+")
    except OSError as error:
        raise ValueError(f"{path}: cannot read this file ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: not a data configuration ({reason})") from None
    if kind not in DATASETS:
        raise ValueError(f"{path}: unknown dataset {kind!r}, expected {', '.join(DATASETS)}")
    root = existing_spelling(root)
    if not root.is_dir():
        raise ValueError(f"{path}: {root}: missing folder")
    return root, kind, splits


def _find(root: Path, kind: str, splits: Sequence[str]) -> Found:
    if kind == "textseg":
        return _find_textseg(root)
    if kind == "tampered_ic13":
        return _find_tampered(root, splits)
    task = DATASETS[kind].task
    short = {TextSeg.task: "segmentation", TamperedIC13.task: "detection"}.get(task, "removal")
    found = Found(root, short)
    for split in splits:
        if (root / split / "image").is_dir():
            _add_pairs(found, split, root / split)
    return found


def _add_pairs(found: Found, split: str, folder: Path) -> None:
    suffixes = (".txt",) if found.kind == "detection" else SUFFIXES
    images = _list(found, folder / "image")
    # Removal photographs may be evaluated without targets; what has a folder must be complete.
    parts = {name: suffixes for name in ("label", "mask") if (folder / name).is_dir()}
    if found.kind != "removal":
        parts = {"label": suffixes}
    targets = {name: _list(found, folder / name, kinds) for name, kinds in parts.items()}
    for name, files in targets.items():
        _compare(found, images, files, folder / "image", folder / name)
    for stem, image in images.items():
        files = {name: files.get(stem) for name, files in targets.items()}
        found.entries.append(Entry(split, stem, image, found.kind, **files, values=FOLDER_VALUES))


def _find_tampered(root: Path, splits: Sequence[str]) -> Found:
    found = Found(root, "detection")
    for split in splits:
        image_folder, label_folder = root / f"{split}_img", root / f"{split}_gt"
        if not image_folder.is_dir():
            continue
        images, labels = _list(found, image_folder), _list(found, label_folder, (".txt",))
        _compare(found, images, labels, image_folder, label_folder)
        found.entries += [
            Entry(split, stem, image, "detection", labels.get(stem))
            for stem, image in images.items()
        ]
    return found


def _find_textseg(root: Path) -> Found:
    found = Found(root, "segmentation")
    images, labels = _list(found, root / "image"), _list(found, root / "semantic_label")
    suffix = "_maskfg"
    named = {
        stem.removesuffix(suffix): path for stem, path in labels.items() if stem.endswith(suffix)
    }
    _compare(found, images, named, root / "image", root / "semantic_label", suffix)
    splits = _read_splits(found, root / "split.json")
    seen: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if name in seen:
                found.problems.append(
                    (str(root / "split.json"), f"{name} is in {seen[name]} and {split}")
                )
            elif name not in images:
                found.problems.append((str(root / "split.json"), f"no image {name}.* of {split}"))
            else:
                image, label = images[name], named.get(name)
                found.entries.append(
                    Entry(split, name, image, "segmentation", label, values=TEXTSEG_VALUES)
                )
            seen[name] = split
    return found


def _read_splits(found: Found, path: Path) -> dict[str, list[str]]:
    try:
        splits = read_json(path)
        return {split: list(map(str, names)) for split, names in splits.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        found.problems.append((str(path), f"cannot be read ({' '.join(str(error).split())})"))
        return {}


def _list(found: Found, folder: Path, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    try:
        return list_files(folder, tuple(suffixes))
    except ValueError as error:
        path, _, reason = str(error).partition(": ")
        found.problems.append((path, reason))
        return {}


def _compare(
    found: Found,
    images: dict[str, Path],
    targets: dict[str, Path],
    image_folder: Path,
    target_folder: Path,
    suffix: str = "",
) -> None:
    if not images or not targets:  # the folder as a whole has been reported
        return
    for stem in images.keys() - targets.keys():
        found.problems.append((str(images[stem]), f"no file {stem}{suffix}.* in {target_folder}"))
    for stem in targets.keys() - images.keys():
        found.problems.append((str(targets[stem]), f"no file {stem}.* in {image_folder}"))
    found.problems.sort()
