"""What the data sets share: finding files, reading them in pairs, and the two kinds of samples."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from PIL import Image
from torch.utils.data import Dataset

from datasets.transforms import Field, Images, Transform, transform_images
from utils.image import SUFFIXES, image_to_tensor


@dataclass(frozen=True)
class Item:
    """The files of one sample; `name` is the image's file name without its last suffix."""

    name: str
    image: Path
    label: Path | None = None
    mask: Path | None = None


class TextDataset(Dataset):
    """Images and targets of one task, as training or evaluation samples.

    `dataset[index, seed]` is a training sample, a pure function of both: `image` and `label` uint8
    (3, S, S) RGB, `mask` uint8 (1, S, S) with 255 background where the task has one, `task`,
    `name`. `dataset[index]` is an evaluation sample, without random transforms: `image` (3, S, S),
    `label` if there is one, `task`, `name`, `size` (height, width) of the file, `label_path`.
    Reading raises ValueError naming the file.

    Args:
        name: of the data set, the folder of its outputs.
        items: files of the samples, in order.
        transforms: applied in order; the last one sets the size S.
    """

    task: ClassVar[str]
    fields: ClassVar[dict[str, Field]]
    # Segmentation and detection are scored at the size of the file: their label is uint8 (H, W) or
    # (H, W, 3) then.
    native_label: ClassVar[bool] = True

    def __init__(self, name: str, items: Sequence[Item], transforms: Sequence[Transform]) -> None:
        self.name = name
        self.items = list(items)
        self.transforms = list(transforms)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        if isinstance(key, tuple):
            return self._training_sample(*key)
        return self._evaluation_sample(key)

    def read(self, item: Item) -> Images:
        """The images of one sample at the size of the files: `image`, `label`, `mask`."""
        raise NotImplementedError

    def require_targets(self) -> None:
        """Raise ValueError naming the folder if a target that training needs is not there."""

    def _training_sample(self, index: int, seed: int) -> dict:
        item = self.items[index]
        images = transform_images(self.read(item), self.fields, self.transforms, seed)
        images["label"] = images["label"].convert("RGB")
        tensors = {field: image_to_tensor(image) for field, image in images.items()}
        return {**tensors, "task": self.task, "name": item.name}

    def _evaluation_sample(self, index: int) -> dict:
        item = self.items[index]
        images = self.read(item)
        width, height = images["image"].size
        sample = {"task": self.task, "name": item.name, "size": (height, width)}
        sample["label_path"] = str(item.label) if item.label else None
        if self.native_label:
            label = image_to_tensor(images.pop("label"))
            sample["label"] = label[0] if len(label) == 1 else label.permute(1, 2, 0).contiguous()
        images = transform_images(images, self.fields, self.transforms, seed=None)
        return sample | {field: image_to_tensor(image) for field, image in images.items()}


def list_files(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, Path]:
    """Files with one of the suffixes: name without the last suffix -> path, in natural order.

    Natural order (2 before 10) is the same on every file system. Raises ValueError if the folder is
    missing or has no such file, or if two files differ only in their suffix.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: missing folder")
    files: dict[str, Path] = {}
    paths = (path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    for path in sorted(paths, key=_natural_key):
        if path.name.startswith("."):  # macOS leaves ._1.jpg beside 1.jpg
            continue
        if path.stem in files:
            raise ValueError(f"{path}: {files[path.stem].name} in this folder has the same name")
        files[path.stem] = path
    if not files:
        raise ValueError(f"{folder}: empty folder, expected files {' '.join(suffixes)}")
    return files


def partner(files: dict[str, Path], folder: Path, stem: str, image: Path) -> Path:
    """The file `stem`.* of `folder`, listed in `files`; ValueError naming `image` without it."""
    if stem not in files:
        raise ValueError(f"{image}: no file {stem}.* in {folder}")
    return files[stem]


def check_size(image: Image.Image, target: Image.Image, path: Path) -> None:
    """Raise ValueError naming the target's file if its size is not the image's."""
    if image.size != target.size:
        sizes = [f"{width} x {height}" for width, height in (target.size, image.size)]
        raise ValueError(f"{path}: {sizes[0]} pixels, but its image has {sizes[1]}")


def check_split(split: str, choices: Sequence[str]) -> None:
    """Raise ValueError for a split that the data set does not have."""
    if split not in choices:
        raise ValueError(f"unknown split {split!r}, expected one of {', '.join(choices)}")


def _natural_key(path: Path) -> tuple:
    parts = re.split(r"(\d+)", path.name)
    return tuple((int(part), part) if part.isdecimal() else (0, part) for part in parts)
