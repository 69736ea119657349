"""TextSeg: photographs and designs with text, segmented to the pixel."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PIL import Image

from datasets.base import Item, TextDataset, check_size, check_split, list_files, partner
from datasets.transforms import Field, Images, Transform
from utils.files import read_json
from utils.image import read_grey, read_rgb

TEXT, BACKGROUND, IGNORED = 255, 0, 128
# Official: ignored regions, then effects around letters, then letters; other values stay.
CONVERSION = {255: IGNORED, 200: BACKGROUND, 100: TEXT}


class TextSeg(TextDataset):
    """Text segmentation from `root/{image,semantic_label,split.json}` (CVPR 2021, Xu et al.).

    The label is 255 text, 0 background, 128 ignored: the same on three channels in training, uint8
    (H, W) at the size of the file in evaluation.

    Args:
        root: folder of the data set.
        split: a key of split.json, or several joined by "+": the paper trains on train+val and
            evaluates on test.
        transforms: see `TextDataset`.
        name: of the data set.
    """

    task = "text_segmentation"
    fields: ClassVar = {"image": Field(), "label": Field(Image.Resampling.NEAREST, fill=IGNORED)}

    def __init__(
        self, root: Path, split: str, transforms: Sequence[Transform], name: str = "TextSeg"
    ) -> None:
        root = Path(root)
        folder = root / "semantic_label"
        names = _read_split(root / "split.json", split)
        images, labels = list_files(root / "image"), list_files(folder)
        items = []
        for stem in names:
            if stem not in images:
                raise ValueError(f"{root / 'split.json'}: no image {stem}.* in {root / 'image'}")
            label = partner(labels, folder, f"{stem}_maskfg", images[stem])
            items.append(Item(stem, images[stem], label))
        super().__init__(name, items, transforms)

    def read(self, item: Item) -> Images:
        """RGB `image` and grey `label` with the three values above."""
        images = {"image": read_rgb(item.image), "label": read_grey(item.label)}
        check_size(images["image"], images["label"], item.label)
        table = [CONVERSION.get(value, value) for value in range(256)]
        return images | {"label": images["label"].point(table)}


def _read_split(path: Path, split: str) -> list[str]:
    splits = read_json(path)
    if not isinstance(splits, dict) or not all(map(_is_name_list, splits.values())):
        raise ValueError(f"{path}: expected lists of names, like {{'train': ['a00001'], ...}}")
    for part in split.split("+"):
        check_split(part, list(splits))
    names = [name for part in split.split("+") for name in splits[part]]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: {twice} is twice in split {split!r}")
    if not names:
        raise ValueError(f"{path}: split {split!r} is empty")
    return names


def _is_name_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
