"""SCUT-EnsText: photographs of scenes with text, and the same scenes with the text erased."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PIL import Image

from datasets.base import Item, TextDataset, check_size, check_split, list_files, partner
from datasets.transforms import Field, Images, Transform
from utils.image import read_mask, read_rgb

SPLITS = ("train", "test")
FOLDER_SPELLINGS = ("SCUT-EnsText", "SCUT-ENS")


class ScutEnsText(TextDataset):
    """Text removal from `root/{train,test}/{image,label,mask}` (https://github.com/HCIILAB/SCUT-EnsText).

    The three files of a sample share their name up to the last suffix. A split without the folders
    `label` or `mask` can be evaluated, not trained on. The evaluation label is resized to (3, S, S)
    like the image.

    Args:
        root: folder of the data set; both spellings of its name are tried.
        split: train or test.
        transforms: see `TextDataset`.
        name: of the data set.
    """

    task = "text_removal"
    fields: ClassVar = {
        "image": Field(),
        "label": Field(),
        "mask": Field(Image.Resampling.NEAREST, fill=1),  # the uncovered corners are background
    }
    native_label = False

    def __init__(
        self, root: Path, split: str, transforms: Sequence[Transform], name: str = "SCUT-EnsText"
    ) -> None:
        check_split(split, SPLITS)
        self.folder = existing_spelling(Path(root)) / split
        super().__init__(name, self._find_items(), transforms)

    def _find_items(self) -> list[Item]:
        images = list_files(self.folder / "image")
        targets = [self.folder / field for field in ("label", "mask")]
        found = [(folder, list_files(folder)) for folder in targets if folder.is_dir()]
        items = []
        for stem, image in images.items():
            paths = {folder.name: partner(files, folder, stem, image) for folder, files in found}
            items.append(Item(stem, image, **paths))
        return items

    def read(self, item: Item) -> Images:
        """RGB `image` and `label`, 1-bit `mask` (1 background), as far as they exist."""
        images = {"image": read_rgb(item.image)}
        if item.label:
            images["label"] = read_rgb(item.label)
            check_size(images["image"], images["label"], item.label)
        if item.mask:
            images["mask"] = read_mask(item.mask)
            check_size(images["image"], images["mask"], item.mask)
        return images

    def require_targets(self) -> None:
        """Raise ValueError naming the folder `label` or `mask` if it is missing."""
        for field in ("label", "mask"):
            if not (self.folder / field).is_dir():
                raise ValueError(f"{self.folder / field}: missing folder, training needs it")


def existing_spelling(root: Path) -> Path:
    """`root` itself, or, where it is not there, a folder of the other spelling."""
    spellings = [root.with_name(name) for name in FOLDER_SPELLINGS if root.name in FOLDER_SPELLINGS]
    return next((path for path in [root, *spellings] if path.is_dir()), root)
