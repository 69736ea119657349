"""Fonts: where they are, which scripts they write, and whether they have every glyph."""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont, features

from synthesis.sampling import pick, pick_weighted
from synthesis.text.corpus import SCRIPTS

FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_PROBE_SIZE = 20  # pixels; large enough that two glyphs differ
_NO_CHARACTER = (
    "\uffff"  # never a character of any font, so it is drawn with the glyph for missing ones
)


@dataclass(frozen=True)
class Face:
    """A font file and the scripts it can write; an empty path is Pillow's built-in font."""

    path: str
    family: str
    scripts: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name, for the manifest."""
        return Path(self.path).name or "Pillow built-in"


def system_font_folders() -> list[Path]:
    """Folders where the operating system and installed packages keep fonts; they need not exist."""
    home = Path.home()
    folders = [
        *(Path("/usr/share/fonts"), Path("/usr/local/share/fonts")),
        *(home / ".fonts", home / ".local/share/fonts"),
        *(Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"),
        Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts",
    ]
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib and matplotlib.origin:
        folders.append(Path(matplotlib.origin).parent / "mpl-data/fonts/ttf")
    return folders


def load_faces(folders: Sequence[Path]) -> list[Face]:
    """Faces of all font files below the folders that write a known script, by name.

    Falls back to Pillow's built-in font, which writes Latin, if there is none. A file that FreeType
    cannot read is passed over. Raises ValueError for a folder that is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: missing folder of fonts")
    files = {
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in FONT_SUFFIXES
    }
    faces = [_face(str(path)) for path in sorted(files, key=lambda path: (path.name, str(path)))]
    faces = [face for face in faces if face and face.scripts]
    return faces or [_face("")]


def find_faces() -> list[Face]:
    """Faces of the fonts that are installed on this system, see `load_faces`."""
    return load_faces([folder for folder in system_font_folders() if folder.is_dir()])


def _face(path: str) -> Face | None:
    try:
        family = load_font(path, _PROBE_SIZE).getname()[0] or Path(path).stem
        scripts = tuple(name for name in SCRIPTS if _writes(path, name))
    except (OSError, ValueError):  # a broken file, or a bitmap font without this size
        return None
    return Face(path, family, scripts)


def _writes(path: str, script: str) -> bool:
    if SCRIPTS[script].shaped and not has_shaping():
        return False
    return covers(path, SCRIPTS[script].probes)


def has_shaping() -> bool:
    """Whether Pillow can join and stack letters, which Arabic, Thai and Devanagari need."""
    return bool(features.check("raqm"))


@lru_cache(maxsize=128)  # every font holds a file open
def load_font(path: str, size: int, shaped: bool = False) -> ImageFont.FreeTypeFont:
    """Font at `size` pixels per em; an empty path is Pillow's built-in font.

    `shaped` joins and stacks letters, see `has_shaping`; without it setting a line is three times
    as fast.
    """
    if not path:
        return ImageFont.load_default(size)
    engine = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    return ImageFont.truetype(path, size, layout_engine=engine)


def needs_shaping(text: str) -> bool:
    """Whether a string has letters, from Hebrew to Mongolian, that join or stack."""
    return any("\u0590" <= sign < "\u1e00" and not "\u1100" <= sign < "\u1200" for sign in text)


def covers(path: str, text: str) -> bool:
    """Whether the font has a glyph of its own for every character; blanks count as present."""
    return all(sign.isspace() or _has_glyph(path, sign) for sign in text)


@lru_cache(maxsize=200_000)
def _has_glyph(path: str, sign: str) -> bool:
    # Drawn, not looked up in the file's table: a glyph that exists but is empty is a missing one
    # for a reader.
    missing, drawn = _missing_picture(path), _picture(path, sign)
    return bool(drawn[1].strip(b"\0")) and drawn != missing


def _picture(path: str, sign: str) -> tuple[tuple[int, int], bytes]:
    # The basic layout draws one character by itself; shaping would put a circle under a combining
    # mark.
    mask = load_font(path, _PROBE_SIZE).getmask(sign, mode="L")
    return mask.size, bytes(mask)


@lru_cache(maxsize=4096)
def _missing_picture(path: str) -> tuple[tuple[int, int], bytes]:
    return _picture(path, _NO_CHARACTER)


class FontBook:
    """Faces ordered by script and family, for drawing one at random.

    Args:
        faces: what `load_faces` found.
    """

    def __init__(self, faces: Sequence[Face]) -> None:
        self.faces = list(faces)
        self._families: dict[str, dict[str, list[Face]]] = {}
        for face in self.faces:
            for script in face.scripts:
                self._families.setdefault(script, {}).setdefault(face.family, []).append(face)

    @property
    def scripts(self) -> list[str]:
        """Scripts that at least one face writes."""
        return [name for name in SCRIPTS if name in self._families]

    def draw_script(self, rng: np.random.Generator) -> str:
        """A script by its weight, among those that can be written."""
        return pick_weighted(rng, {name: SCRIPTS[name].weight for name in self.scripts})

    def draw_face(self, rng: np.random.Generator, script: str) -> Face:
        """A face of the script; a family with many styles is not drawn more often."""
        families = self._families[script]
        return pick(rng, families[pick(rng, list(families))])

    def near_face(self, rng: np.random.Generator, path: str, script: str) -> Face:
        """A face with strokes about as heavy as those of the font `path`.

        A forger without the right font takes it. Another one, unless no other writes the script.
        """
        faces = [face for family in self._families[script].values() for face in family]
        others = [face for face in faces if face.path != path] or faces
        chosen = [pick(rng, others) for _ in range(6)]
        probe = SCRIPTS[script].probes[0]
        return min(chosen, key=lambda face: abs(_ink(face.path, probe) - _ink(path, probe)))


@lru_cache(maxsize=4096)
def _ink(path: str, sign: str) -> float:
    size, pixels = _picture(path, sign)
    return sum(pixels) / (255 * max(1, size[0] * size[1]))
