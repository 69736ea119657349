"""Tampered-IC13: photographs of scenes whose words are genuine or tampered, as boxes."""

from pathlib import Path

from datasets.base import DATASETS
from datasets.files import Folder
from datasets.folders import DetectionFolders


@DATASETS.register("tampered_ic13")
class TamperedIC13(DetectionFolders):
    """Tampered text detection from `root/{train,test}_{img,gt}` (Wang et al., ECCV 2022)."""

    splits = ("train", "test")

    @classmethod
    def layout(cls, root: Path, split: str) -> dict[str, Folder]:
        """`SPLIT_img` with images, `SPLIT_gt` with text files."""
        images, boxes = root / f"{split}_img", root / f"{split}_gt"
        return {"image": Folder(images), "label": Folder(boxes, (".txt",))}
