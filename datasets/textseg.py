"""TextSeg: photographs and designs with text, segmented to the pixel."""

from pathlib import Path
from typing import ClassVar

from datasets.base import DATASETS
from datasets.files import Folder
from datasets.folders import BACKGROUND_VALUE, IGNORED_VALUE, TEXT_VALUE, SegmentationFolders


@DATASETS.register("textseg")
class TextSeg(SegmentationFolders):
    """Text segmentation from `root/{image,semantic_label,split.json}` (Xu et al., CVPR 2021).

    A split is a key of split.json, or several joined by "+": the paper trains on train+val and
    evaluates on test.
    """

    split_file = "split.json"
    # Official: letters, effects around letters, ignored regions.
    label_values: ClassVar = {
        0: BACKGROUND_VALUE,
        100: TEXT_VALUE,
        200: BACKGROUND_VALUE,
        255: IGNORED_VALUE,
    }

    @classmethod
    def layout(cls, root: Path, split: str) -> dict[str, Folder]:
        """The folders of all splits."""
        labels = Folder(root / "semantic_label", ending="_maskfg")
        return {"image": Folder(root / "image"), "label": labels}
