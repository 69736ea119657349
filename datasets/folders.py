"""Own data: one class per task for images and targets of the same name in plain folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from PIL import Image

from datasets.base import DATASETS, TextDataset
from datasets.boxes import CLASSES, paint_boxes, read_boxes
from datasets.files import Folder, Item, check_size
from datasets.transforms import Field, Images
from tasks import IGNORED, TAMPERED_TEXT_DETECTION, TEXT_REMOVAL, TEXT_SEGMENTATION
from utils.image import read_grey, read_mask, read_rgb

NEAREST = Image.Resampling.NEAREST
# Grey values of segmentation labels in training and evaluation.
BACKGROUND_VALUE, TEXT_VALUE = (each.colour[0] for each in TEXT_SEGMENTATION.classes)
IGNORED_VALUE = IGNORED[0]


@DATASETS.register("removal_folders")
class RemovalFolders(TextDataset):
    """Text removal from `root/SPLIT/{image,label,mask}`: `label` is erased, `mask` 0 for text.

    A split without the folders `label` or `mask` can be evaluated, not trained on. The evaluation
    label is resized like the image.
    """

    task = TEXT_REMOVAL.name
    fields: ClassVar = {
        "image": Field(),
        "label": Field(),
        "mask": Field(NEAREST, fill=1),  # a rotation uncovers background
    }
    native_label = False

    @classmethod
    def layout(cls, root: Path, split: str) -> dict[str, Folder]:
        """`root/SPLIT/{image,label,mask}`; only training needs the targets."""
        folder = root / split
        targets = {field: Folder(folder / field, optional=True) for field in ("label", "mask")}
        return {"image": Folder(folder / "image"), **targets}

    def read(self, item: Item) -> Images:
        """RGB `image` and `label`, 1-bit `mask` (1 for background), as far as they exist."""
        images = {"image": read_rgb(item.image)}
        if item.label:
            images["label"] = read_rgb(item.label)
            check_size(images["image"], images["label"], item.label)
        if item.mask:
            images["mask"] = read_mask(item.mask)
            check_size(images["image"], images["mask"], item.mask)
        return images


@DATASETS.register("segmentation_folders")
class SegmentationFolders(TextDataset):
    """Text segmentation from `root/SPLIT/{image,label}`.

    The label is 255 text, 0 background, 128 ignored: the same on three channels in training, uint8
    (H, W) at the size of the file in evaluation.
    """

    task = TEXT_SEGMENTATION.name
    fields: ClassVar = {"image": Field(), "label": Field(NEAREST, fill=IGNORED_VALUE)}
    # Value in the files -> value in the samples; other values stay and are ignored.
    label_values: ClassVar[Mapping[int, int]] = {
        value: value for value in (BACKGROUND_VALUE, IGNORED_VALUE, TEXT_VALUE)
    }

    def read(self, item: Item) -> Images:
        """RGB `image` and grey `label` of the same size."""
        assert item.label
        images = {"image": read_rgb(item.image), "label": read_grey(item.label)}
        check_size(images["image"], images["label"], item.label)
        table = [self.label_values.get(value, value) for value in range(256)]
        return images | {"label": images["label"].point(table)}


@DATASETS.register("detection_folders")
class DetectionFolders(TextDataset):
    """Tampered text detection from `root/SPLIT/{image,label}`, one file of boxes per image.

    The files are those of Tampered-IC13, see `datasets.boxes`. The label is a picture in the
    colours of the classes, uint8 (H, W, 3) at the size of the file in evaluation.
    """

    task = TAMPERED_TEXT_DETECTION.name
    fields: ClassVar = {"image": Field(), "label": Field(NEAREST, fill=CLASSES[0].colour)}

    @classmethod
    def layout(cls, root: Path, split: str) -> dict[str, Folder]:
        """`root/SPLIT/{image,label}` with text files in `label`."""
        folder = root / split
        return {"image": Folder(folder / "image"), "label": Folder(folder / "label", (".txt",))}

    def read(self, item: Item) -> Images:
        """RGB `image` and painted `label` of the same size."""
        assert item.label
        image = read_rgb(item.image)
        return {"image": image, "label": paint_boxes(read_boxes(item.label), image.size)}
