"""From a YAML file of data_configs/ to a data set; every key is checked."""

import dataclasses
from pathlib import Path

import yaml

from datasets.base import TextDataset
from datasets.folders import DetectionFolders, SegmentationFolders
from datasets.scut_enstext import ScutEnsText
from datasets.tampered_ic13 import TamperedIC13
from datasets.textseg import TextSeg
from datasets.transforms import TRANSFORMS, Resize, Transform

DATASETS: dict[str, type[TextDataset]] = {
    "scut_enstext": ScutEnsText,
    "tampered_ic13": TamperedIC13,
    "textseg": TextSeg,
    # Own data; the layout of SCUT-EnsText is the one for own pairs with and without text.
    "removal_folders": ScutEnsText,
    "detection_folders": DetectionFolders,
    "segmentation_folders": SegmentationFolders,
}
KEYS = {"task": str, "dataset": str, "name": str, "root": str, "split": str, "transforms": list}


def build_dataset(
    config_path: str | Path, image_size: int, data_root: str | Path = "data"
) -> TextDataset:
    """Build the data set of a YAML file, with network inputs of image_size x image_size pixels.

    A relative `root` in the file is meant below `data_root`. Raises ValueError, one line that names
    the YAML file and what is wrong in it, or the folder or file of the data set that is missing.
    """
    try:
        config = _read_config(config_path)
        transforms = _build_transforms(config["transforms"], image_size)
        root = Path(data_root) / config["root"]
        build = DATASETS[config["dataset"]]
        return build(root, config["split"], transforms, config["name"])
    except ValueError as error:
        raise ValueError(f"{config_path}: {error}") from None


def _read_config(path: str | Path) -> dict:
    try:
        text = Path(path).read_text(encoding="utf-8")
        _check_repeated_keys(yaml.compose(text, yaml.SafeLoader))
        config = yaml.safe_load(text)
    except OSError as error:
        raise ValueError(f"cannot read this file ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"not a YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(config, dict):
        raise ValueError(f"expected the keys {', '.join(KEYS)}")
    _check_names("key", set(config), set(KEYS))
    for key, kind in KEYS.items():
        if not isinstance(config[key], kind) or not config[key]:
            expected = "a list of transforms" if kind is list else "a word"
            raise ValueError(f"{key} is {config[key]!r}, expected {expected}")
    _check_choice("dataset", config["dataset"], DATASETS)
    task = DATASETS[config["dataset"]].task
    if config["task"] != task:
        raise ValueError(f"task is {config['task']!r}, but {config['dataset']} is for {task!r}")
    if Path(config["name"]).name != config["name"] or config["name"] == "..":
        raise ValueError(f"name is {config['name']!r}, expected a folder name")
    return config


def _check_repeated_keys(node: yaml.Node | None) -> None:
    """Raise ValueError for a key that stands twice: YAML would take the last one silently."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the key {key!r} stands there twice")


def _build_transforms(steps: list, image_size: int) -> list[Transform]:
    transforms = [_build_transform(step, image_size) for step in steps]
    # The steps before change the size of the image; a batch needs one size.
    if [isinstance(step, Resize) for step in transforms] != [False] * (len(steps) - 1) + [True]:
        raise ValueError("transforms must end with resize, and name it once")
    return transforms


def _build_transform(step: object, image_size: int) -> Transform:
    """One list entry: a name, or a mapping of one name to its arguments."""
    name, arguments = step, {}
    if isinstance(step, dict) and len(step) == 1:
        name, arguments = next(iter(step.items()))
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ValueError(f"transform {step!r}: expected 'name' or 'name: {{argument: number}}'")
    _check_choice("transform", name, TRANSFORMS)
    fixed = {"size": image_size} if TRANSFORMS[name] is Resize else {}
    expected = {field.name for field in dataclasses.fields(TRANSFORMS[name])}
    _check_names(f"argument of {name}", set(arguments), expected - set(fixed))
    for argument, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name}: {argument} is {value!r}, expected a number")
    try:
        return TRANSFORMS[name](**arguments, **fixed)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_names(what: str, given: set, expected: set[str]) -> None:
    choices = ", ".join(sorted(expected)) or "none"
    for word, names in (("unknown", given - expected), ("missing", expected - given)):
        if names:
            raise ValueError(f"{word} {what} {min(map(repr, names))}, expected {choices}")


def _check_choice(what: str, value: str, choices: dict) -> None:
    if value not in choices:
        raise ValueError(f"unknown {what} {value!r}, expected one of {', '.join(choices)}")
