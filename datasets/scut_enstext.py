"""SCUT-EnsText: photographs of scenes with text, and the same scenes with the text erased."""

from pathlib import Path

from datasets.base import DATASETS
from datasets.files import Folder
from datasets.folders import RemovalFolders

SPELLINGS = ("SCUT-EnsText", "SCUT-ENS")


@DATASETS.register("scut_enstext")
class ScutEnsText(RemovalFolders):
    """Text removal from `root/{train,test}/{image,label,mask}` (https://github.com/HCIILAB/SCUT-EnsText).

    Both spellings of the folder `root` are accepted.
    """

    splits = ("train", "test")

    @classmethod
    def layout(cls, root: Path, split: str) -> dict[str, Folder]:
        """The folders of the spelling that exists."""
        return super().layout(existing_spelling(root), split)


def existing_spelling(root: Path) -> Path:
    """`root` itself or, if it does not exist, a folder of the other spelling."""
    spellings = [root.with_name(name) for name in SPELLINGS if root.name in SPELLINGS]
    return next((path for path in [root, *spellings] if path.is_dir()), root)
