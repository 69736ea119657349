"""A synthetic data set that the tests of this folder share; they only read it or copy it."""

import string
from collections.abc import Callable
from pathlib import Path

import pytest
from font_files import write_font
from PIL import ImageFont

from synthesis.photo.backgrounds import find_photographs, shipped_photographs, split_photographs
from synthesis.samples import Materials
from synthesis.synthesize import Recipe, synthesize
from synthesis.text.corpus import SCRIPTS
from synthesis.text.fonts import FontBook, load_faces


@pytest.fixture(scope="session")
def font_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Pillow's own font, and one with its glyphs for all scripts."""
    folder = tmp_path_factory.mktemp("fonts")
    (folder / "latin.ttf").write_bytes(ImageFont.load_default(20).font_bytes)
    words = [word for script in SCRIPTS.values() for word in (*script.words, script.probes)]
    characters = "".join(words + [word.upper() for word in words]) + string.printable.strip()
    write_font(folder / "all_scripts.ttf", characters)
    return folder


@pytest.fixture(scope="session")
def fonts(font_folder: Path) -> FontBook:
    """The same fonts on every machine."""
    return FontBook(load_faces([font_folder]))


@pytest.fixture(scope="session")
def materials(fonts: FontBook) -> Materials:
    """Photographs and fonts for small pictures."""
    return Materials(shipped_photographs(), fonts, size=256)


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
