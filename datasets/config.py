"""From a YAML file of data_configs/ to a data set; every key is checked."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.base import DATASETS, TextDataset
from datasets.transforms import TRANSFORMS, Resize, Transform
from tasks import TASKS, load_module
from utils.quote import quote
from utils.yaml_file import read_yaml


@dataclass(frozen=True)
class DataConfig:
    """Content of a YAML file of data_configs/.

    Args:
        task, dataset: registered names, which must belong together.
        name, split: see `TextDataset`.
        root: folder, relative to the data root.
        transforms: names, or mappings of one name to its arguments; `resize` comes last.
        module: Python module that registers further tasks and data sets.
    """

    task: str
    dataset: str
    name: str
    root: str
    split: str
    transforms: list[Any]
    module: str = ""


REQUIRED = ("task", "dataset", "name", "root", "split", "transforms")
OPTIONAL = ("module",)


def build_dataset(
    config_path: str | Path, image_size: int, data_root: str | Path = "data"
) -> TextDataset:
    """Build the data set of a YAML file for network inputs of image_size x image_size pixels.

    A relative `root` in the file is below `data_root`. Raises ValueError, one line that names the
    YAML file and the fault in it, or the missing folder or file of the data set.
    """
    config = read_config(config_path)
    try:
        transforms = _build_transforms(config.transforms, image_size)
        root = Path(data_root) / config.root
        return DATASETS[config.dataset](root, config.split, transforms, config.name)
    except ValueError as error:
        raise ValueError(f"{config_path}: {error}") from None


def read_config(path: str | Path) -> DataConfig:
    """Read a YAML file and import its `module`; raises ValueError as `build_dataset`."""
    content = read_yaml(Path(path))
    try:
        config = _check(content)
        if config.module:
            load_module(config.module)
        task = DATASETS[config.dataset].task
        if config.task != task:
            raise ValueError(f"task is {quote(config.task)}, but {config.dataset} is for {task!r}")
        if task not in TASKS:
            raise ValueError(
                f"task {quote(task)} is not registered; the key module names its module"
            )
        if Path(config.name).name != config.name or config.name == "..":
            raise ValueError(f"name is {quote(config.name)}, expected a folder name")
        return config
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check(content: Any) -> DataConfig:
    if not isinstance(content, dict):
        raise ValueError(f"expected the keys {', '.join(REQUIRED)}")
    _check_names("key", set(content), set(REQUIRED), OPTIONAL)
    for key, value in content.items():
        if not isinstance(value, list if key == "transforms" else str) or not value:
            expected = "a list of transforms" if key == "transforms" else "a word"
            raise ValueError(f"{key} is {quote(value)}, expected {expected}")
    return DataConfig(**content)


def _build_transforms(steps: list[Any], image_size: int) -> list[Transform]:
    transforms = [_build_transform(step, image_size) for step in steps]
    # All other steps change the size of the image; a batch needs one size.
    if [isinstance(step, Resize) for step in transforms] != [False] * (len(steps) - 1) + [True]:
        raise ValueError("transforms must end with resize, and name it once")
    return transforms


def _build_transform(step: Any, image_size: int) -> Transform:
    """One list entry: a name, or a mapping of one name to its arguments."""
    name, arguments = step, dict[str, Any]()
    if isinstance(step, dict) and len(step) == 1:
        name, arguments = next(iter(step.items()))
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ValueError(
            f"transform {quote(step)}: expected 'name' or 'name: {{argument: number}}'"
        )
    build: Any = TRANSFORMS[name]
    fixed = {"size": image_size} if build is Resize else {}
    expected = {field.name for field in dataclasses.fields(build)}
    _check_names(f"argument of {name}", set(arguments), expected - set(fixed))
    for argument, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name}: {argument} is {quote(value)}, expected a number")
    try:
        return build(**arguments, **fixed)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_names(
    kind: str, given: set[Any], required: set[str], optional: Sequence[str] = ()
) -> None:
    choices = ", ".join([*sorted(required), *(f"optionally {name}" for name in optional)])
    unknown, missing = given - required - set(optional), required - given
    for word, names in (("unknown", unknown), ("missing", missing)):
        if names:
            name = min(map(quote, names))
            raise ValueError(f"{word} {kind} {name}, expected {choices or 'none'}")
