"""Fonts, sources, scenes and a synthetic data set that the tests of this folder share."""

import itertools
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from font_files import write_font
from PIL import Image, ImageDraw, ImageFont

from synthesis.photo.backgrounds import draw_background, shipped_photographs, split_photographs
from synthesis.samples import SampleSource
from synthesis.sampling import generator
from synthesis.scene.composition import Composer, SceneOptions
from synthesis.scene.scene import Scene
from synthesis.text.fonts import FontBook, load_faces
from synthesis.text.scripts import SCRIPTS
from synthesis.writer import DatasetWriter


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
def source(fonts: FontBook) -> SampleSource:
    """Photographs and fonts for small pictures."""
    return SampleSource(shipped_photographs(), fonts, size=256)


@pytest.fixture(scope="session")
def scene_of(source: SampleSource) -> Callable[..., Scene]:
    """A function that composes the scene of a seed with a task's options.

    With `legible`, texts are added until a word of the scene is readable.
    """

    def compose(seed: int, options: SceneOptions, legible: bool = False) -> Scene:
        rng = generator(seed)
        background = draw_background(rng, source.photographs, source.size)
        composer = Composer(rng, background, source.fonts, options)
        scene = composer.compose()
        while legible and not any(word.legible for word in scene.words):
            composer.add_bare_text()
        return scene

    return compose


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three documents with word boxes: rows of numbers on grey paper."""
    folder = tmp_path_factory.mktemp("documents") / "scans"
    folder.mkdir()
    font = ImageFont.load_default(30)
    for number, name in enumerate(("shop_a", "shop_b", "bank")):
        rng = np.random.default_rng(number)
        page = Image.fromarray(rng.integers(215, 225, (700, 620, 3), dtype=np.uint8))
        draw, lines = ImageDraw.Draw(page), []
        for x, y in itertools.product(range(20, 600, 200), range(20, 680, 60)):
            word = f"{rng.integers(1000, 99999)},{rng.integers(10, 99)}"
            draw.text((x, y), word, (40, 40, 50), font)
            corners = map(round, draw.textbbox((x, y), word, font))
            lines.append(",".join(map(str, corners)) + f",{word}\n")
        page.save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="session")
def make_writer(fonts: FontBook) -> Callable[..., DatasetWriter]:
    """A function (output_dir, seed=0, fonts=...) that returns a writer of small pictures."""

    def make(output_dir: Path, seed: int = 0, fonts: FontBook = fonts) -> DatasetWriter:
        photographs = split_photographs(shipped_photographs())
        sources = {split: SampleSource(paths, fonts, 256) for split, paths in photographs.items()}
        return DatasetWriter(output_dir, sources, seed)

    return make


@pytest.fixture(scope="session")
def synthetic(
    tmp_path_factory: pytest.TempPathFactory, make_writer: Callable[..., DatasetWriter]
) -> Path:
    """Folder of a data set of 3 training and 2 test samples; tests only read it."""
    folder = tmp_path_factory.mktemp("synthetic")
    make_writer(folder).write({"train": 3, "test": 2}, workers=0, progress=False)
    return folder
