"""Base class of the data sets: how files become training and evaluation samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image
from torch.utils.data import Dataset

from datasets.files import Folder, Item, check_split, names_of_split, pair_files
from datasets.transforms import Field, Images, Transform, transform_images
from utils.image import image_to_tensor
from utils.registry import Registry

Sample = dict[str, Any]


class TextDataset(Dataset[Sample]):
    """Images and targets of one task, as training or evaluation samples.

    `dataset[index, seed]` is a training sample, a pure function of both: `image` and `label` uint8
    (3, S, S) RGB, `mask` uint8 (1, S, S) with 255 for background, which is everywhere for tasks
    without masks, `task`, `name`. `dataset[index]` is an evaluation sample without random
    transforms: `image` (3, S, S), `label` if there is one, `task`, `name`, `size` (height, width)
    of the file, `label_path`. Reading raises ValueError naming the file.

    Args:
        root: folder of the data set.
        split: one of `splits` or a key of `split_file` if the class has them, else any folder.
        transforms: applied in order; the last one sets the size S.
        name: of the data set, also of the folder of its outputs.
    """

    task: ClassVar[str]
    fields: ClassVar[Mapping[str, Field]]
    splits: ClassVar[Sequence[str]] = ()
    split_file: ClassVar[str | None] = None  # JSON file in `root`: split -> names of its samples
    # Pixel classes are scored at the size of the file: the evaluation label then is uint8 (H, W) or
    # (H, W, 3); otherwise it is resized like the image.
    native_label: ClassVar[bool] = True

    def __init__(
        self, root: str | Path, split: str, transforms: Sequence[Transform], name: str
    ) -> None:
        if self.splits:
            check_split(split, self.splits)
        self.name = name
        self.transforms = list(transforms)
        self.folders = self.layout(Path(root), split)
        if self.split_file is None:
            self.items = pair_files(self.folders)
        else:
            path = Path(root) / self.split_file
            self.items = pair_files(self.folders, names_of_split(path, split), path)

    @classmethod
    def layout(cls, root: Path, split: str) -> dict[str, Folder]:
        """Folder of each field, `root/SPLIT/FIELD` unless a data set says otherwise."""
        return {field: Folder(root / split / field) for field in cls.fields}

    @classmethod
    def read(cls, item: Item) -> Images:
        """Images of a sample at the size of the files: `image`, and as present `label`, `mask`."""
        raise NotImplementedError

    def require_targets(self) -> None:
        """Raise ValueError naming a folder that only training needs if it is missing."""
        for folder in self.folders.values():
            if not folder.path.is_dir():
                raise ValueError(f"{folder.path}: missing folder, training needs it")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        if isinstance(key, tuple):
            return self._training_sample(*key)
        return self._evaluation_sample(key)

    def _training_sample(self, index: int, seed: int) -> Sample:
        item = self.items[index]
        images = transform_images(self.read(item), self.fields, self.transforms, seed)
        images["label"] = images["label"].convert("RGB")
        images.setdefault("mask", Image.new("1", images["image"].size, 1))
        tensors = {field: image_to_tensor(image) for field, image in images.items()}
        return {**tensors, "task": self.task, "name": item.name}

    def _evaluation_sample(self, index: int) -> Sample:
        item = self.items[index]
        images = self.read(item)
        width, height = images["image"].size
        sample: Sample = {"task": self.task, "name": item.name, "size": (height, width)}
        sample["label_path"] = str(item.label) if item.label else None
        if self.native_label:
            label = image_to_tensor(images.pop("label"))  # (C, H, W)
            sample["label"] = label[0] if len(label) == 1 else label.permute(1, 2, 0).contiguous()
        images = transform_images(images, self.fields, self.transforms, seed=None)
        return sample | {field: image_to_tensor(image) for field, image in images.items()}


DATASETS: Registry[type[TextDataset]] = Registry("dataset")
