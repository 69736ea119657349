"""Own data: folders of images and of targets with the same names, for segmentation and detection.

Own removal data need no class of their own: the layout of SCUT-EnsText is such a pair of folders.
"""

from collections.abc import Sequence
from pathlib import Path

from datasets.base import Item, TextDataset, check_size, list_files, partner
from datasets.tampered_ic13 import TamperedIC13, paint_boxes, read_boxes
from datasets.textseg import TextSeg
from datasets.transforms import Images, Transform
from utils.image import SUFFIXES, read_grey, read_rgb


class SegmentationFolders(TextDataset):
    """Text segmentation from `root/SPLIT/{image,label}`: 255 text, 0 background, 128 ignored.

    Args:
        root: folder of the data set.
        split: name of a folder in it.
        transforms: see `TextDataset`.
        name: of the data set.
    """

    task = TextSeg.task
    fields = TextSeg.fields

    def __init__(self, root: Path, split: str, transforms: Sequence[Transform], name: str) -> None:
        super().__init__(name, find_pairs(Path(root) / split, SUFFIXES), transforms)

    def read(self, item: Item) -> Images:
        """RGB `image` and grey `label` of the same size."""
        images = {"image": read_rgb(item.image), "label": read_grey(item.label)}
        check_size(images["image"], images["label"], item.label)
        return images


class DetectionFolders(TextDataset):
    """Tampered text detection from `root/SPLIT/{image,label}`: a file of boxes per image.

    The lines are those of Tampered-IC13, `x1,y1,x2,y2,class`, and so are the label pictures.

    Args:
        root: folder of the data set.
        split: name of a folder in it.
        transforms: see `TextDataset`.
        name: of the data set.
    """

    task = TamperedIC13.task
    fields = TamperedIC13.fields

    def __init__(self, root: Path, split: str, transforms: Sequence[Transform], name: str) -> None:
        super().__init__(name, find_pairs(Path(root) / split, (".txt",)), transforms)

    def read(self, item: Item) -> Images:
        """RGB `image` and painted `label` of the same size."""
        image = read_rgb(item.image)
        return {"image": image, "label": paint_boxes(read_boxes(item.label), image.size)}


def find_pairs(folder: Path, suffixes: tuple[str, ...]) -> list[Item]:
    """Samples of `folder/image` with their files of `folder/label`; ValueError if one lacks."""
    images = list_files(folder / "image")
    labels = list_files(folder / "label", suffixes)
    return [
        Item(stem, image, partner(labels, folder / "label", stem, image))
        for stem, image in images.items()
    ]
