"""Own data: one class per task for images and targets of the same name in plain folders."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from PIL import Image

from datasets.base import DATASETS, TextDataset
from datasets.boxes import CLASSES, paint_boxes, read_boxes
from datasets.files import Folder, Item
from datasets.transforms import Field, Images
from tasks import IGNORED, TAMPERED_TEXT_DETECTION, TEXT_REMOVAL, TEXT_SEGMENTATION
from utils.image import read_grey, read_mask, read_rgb

NEAREST = Image.Resampling.NEAREST
# Grey values of segmentation labels.
BACKGROUND_VALUE, TEXT_VALUE = (each.colour[0] for each in TEXT_SEGMENTATION.classes)
IGNORED_VALUE = IGNORED[0]


@DATASETS.register("removal_folders")
class RemovalFolders(TextDataset):
    """Text removal: `label` is the image without text, `mask` 0 for text and 255 for background.

    A split without these folders can be evaluated, not trained on. The evaluation label is resized
    like the image.
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
        folder = root / split
        targets = {field: Folder(folder / field, optional=True) for field in ("label", "mask")}
        return {"image": Folder(folder / "image"), **targets}

    @classmethod
    def read(cls, item: Item) -> Images:
        """RGB `image` and `label`, 1-bit `mask` (1 for background), as far as they exist."""
        images = {"image": read_rgb(item.image)}
        if item.label:
            images["label"] = _read_target(read_rgb, item.label, images["image"])
        if item.mask:
            images["mask"] = _read_target(read_mask, item.mask, images["image"])
        return images


@DATASETS.register("segmentation_folders")
class SegmentationFolders(TextDataset):
    """Text segmentation: `label` is 255 text, 0 background, 128 ignored.

    Training labels have three equal channels; evaluation labels are uint8 (H, W) at the size of the
    file.
    """

    task = TEXT_SEGMENTATION.name
    fields: ClassVar = {"image": Field(), "label": Field(NEAREST, fill=IGNORED_VALUE)}
    # Value in the files -> value in the samples. Other values stay, and are ignored.
    label_values: ClassVar[Mapping[int, int]] = {
        value: value for value in (BACKGROUND_VALUE, IGNORED_VALUE, TEXT_VALUE)
    }

    @classmethod
    def read(cls, item: Item) -> Images:
        """RGB `image` and grey `label`."""
        assert item.label
        image = read_rgb(item.image)
        label = _read_target(read_grey, item.label, image)
        table = [cls.label_values.get(value, value) for value in range(256)]
        return {"image": image, "label": label.point(table)}


@DATASETS.register("detection_folders")
class DetectionFolders(TextDataset):
    """Tampered text detection: `label` has a file of boxes per image, see `datasets.boxes`.

    The label of a sample is a picture in the colours of the classes, uint8 (H, W, 3) at the size of
    the file in evaluation.
    """

    task = TAMPERED_TEXT_DETECTION.name
    fields: ClassVar = {"image": Field(), "label": Field(NEAREST, fill=CLASSES[0].colour)}

    @classmethod
    def layout(cls, root: Path, split: str) -> dict[str, Folder]:
        folder = root / split
        return {"image": Folder(folder / "image"), "label": Folder(folder / "label", (".txt",))}

    @classmethod
    def read(cls, item: Item) -> Images:
        """RGB `image` and painted `label`."""
        assert item.label
        image = read_rgb(item.image)
        return {"image": image, "label": paint_boxes(read_boxes(item.label), image.size)}


def _read_target(
    read: Callable[[Path], Image.Image], path: Path, image: Image.Image
) -> Image.Image:
    target = read(path)
    if target.size != image.size:
        sizes = [f"{width} x {height}" for width, height in (target.size, image.size)]
        raise ValueError(f"{path}: {sizes[0]} pixels, but its image has {sizes[1]}")
    return target
