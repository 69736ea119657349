"""A synthetic data set that the tests of this folder share; they only read it or copy it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from synthesis.photo.backgrounds import find_photographs, split_photographs
from synthesis.synthesize import Recipe, synthesize
from synthesis.text.fonts import FontBook, find_faces


@pytest.fixture(scope="session")
def fonts() -> FontBook:
    """The fonts of this machine, or Pillow's."""
    return FontBook(find_faces())


@pytest.fixture(scope="session")
def make_recipe(fonts: FontBook) -> Callable[..., Recipe]:
    """A function (output_dir, seed=0, fonts=...) that returns a recipe for small pictures."""

    def make(output_dir: Path, seed: int = 0, fonts: FontBook = fonts) -> Recipe:
        photographs = split_photographs(find_photographs([]))
        return Recipe(output_dir, photographs, fonts, size=256, seed=seed, avoid_text=True)

    return make


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory, make_recipe: Callable[..., Recipe]) -> Path:
    """Folder of a data set of 3 training and 2 test samples, made in this process."""
    folder = tmp_path_factory.mktemp("synthetic")
    synthesize(make_recipe(folder), {"train": 3, "test": 2}, workers=0, progress=False)
    return folder
