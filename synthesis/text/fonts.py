"""Fonts: discovery, glyph coverage, and random choice by script and family."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from numpy.random import Generator
from PIL import ImageFont, features

from synthesis.folders import find_files
from synthesis.sampling import pick, pick_weighted
from synthesis.text.scripts import SCRIPTS

SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
BUILT_IN = ""  # the path that stands for Pillow's own font
_SYSTEM_FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts"),
    *("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts"),
)
# Beginnings of the names of families that look written by hand, in lower case.
_HANDWRITTEN = (
    *("aoyagi", "ar pl ukai", "because we", "blankenburg", "bradley hand", "breip", "caveat"),
    *("comic", "delphine", "dkghandwriting", "domestic manners", "ecolier", "femkeklaver"),
    *("gamaliel", "havana", "humor sans", "isabella", "joscelyn", "kaushan", "klee", "leckerli"),
    *("lxgw wenkai", "nanum brush", "nanum pen", "nanumbarunpen", "patrick hand", "purisa"),
    *("rufscript", "segoe print", "segoe script", "steve", "tomson", "yozs", "yusei magic"),
)
_PROBE_SIZE = 20  # pixels; large enough that two glyphs differ
_NO_CHARACTER = "\uffff"  # in no font, so it is drawn as the glyph for missing characters

Glyph = tuple[tuple[int, int], bytes]


@dataclass(frozen=True)
class Face:
    """A font file and the scripts that it covers."""

    path: str
    family: str
    scripts: tuple[str, ...]

    @property
    def handwritten(self) -> bool:
        """Whether its family is known to look written by hand."""
        return self.family.lower().startswith(_HANDWRITTEN)


def system_font_folders() -> list[Path]:
    """Existing folders where the operating system keeps fonts."""
    folders = [Path(folder).expanduser() for folder in _SYSTEM_FOLDERS]
    return [folder for folder in folders if folder.is_dir()]


def load_faces(folders: Sequence[Path]) -> list[Face]:
    """Faces of all font files below the folders, by default the system's, ordered by file name.

    Fonts that cover no known script or that FreeType cannot read are skipped; if none is left,
    Pillow's own font, which covers Latin, takes their place. ValueError for a missing folder.
    """
    files = find_files(folders or system_font_folders(), SUFFIXES, "fonts")
    faces = [_face(str(path)) for path in files]
    return [face for face in faces if face] or [Face(BUILT_IN, "", ("latin",))]


def _face(path: str) -> Face | None:
    try:
        family = load_font(path, _PROBE_SIZE).getname()[0] or Path(path).stem
        scripts = tuple(
            name
            for name, script in SCRIPTS.items()
            if covers(path, script.probes) and (not script.shaped or features.check("raqm"))
        )
    except (OSError, ValueError):  # a broken file, or a bitmap font without this size
        return None
    return Face(path, family, scripts) if scripts else None


def font_name(path: str) -> str:
    """File name of a font, for the manifest."""
    return Path(path).name or "Pillow built-in"


@lru_cache(maxsize=128)  # every font keeps a file open
def load_font(path: str, size: int, shaped: bool = False) -> ImageFont.FreeTypeFont:
    """Font at `size` pixels per em.

    `shaped` joins and stacks letters by Raqm; the basic layout is three times as fast.
    """
    if path == BUILT_IN:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont), "Pillow is built with FreeType"
        return font
    engine = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    return ImageFont.truetype(path, size, layout_engine=engine)


def needs_shaping(text: str) -> bool:
    """Whether a string contains letters, from Hebrew to Mongolian, that join or stack."""
    return any("\u0590" <= each < "\u1e00" and not "\u1100" <= each < "\u1200" for each in text)


def covers(path: str, text: str) -> bool:
    """Whether the font has its own glyph for every character; blanks count as present."""
    return all(each.isspace() or _has_glyph(path, each) for each in text)


@lru_cache(maxsize=200_000)
def _has_glyph(path: str, character: str) -> bool:
    # Rendered, not looked up in the character map: readers miss an empty glyph as well.
    glyph = _render(path, character)
    return any(glyph[1]) and glyph != _render(path, _NO_CHARACTER)


@lru_cache(maxsize=4096)
def _render(path: str, character: str) -> Glyph:
    # By the basic layout: shaping would put a dotted circle under a combining mark.
    mask = load_font(path, _PROBE_SIZE).getmask(character, mode="L")
    return mask.size, bytes(mask)


def _ink_share(path: str, character: str) -> float:
    (width, height), pixels = _render(path, character)
    return sum(pixels) / (255 * max(1, width * height))


class FontBook:
    """Faces by script and family.

    Args:
        faces: at least one, see `load_faces`.
    """

    def __init__(self, faces: Sequence[Face]) -> None:
        self.faces = list(faces)
        self._families: dict[str, dict[str, list[Face]]] = {}
        for face in self.faces:
            for script in face.scripts:
                self._families.setdefault(script, {}).setdefault(face.family, []).append(face)

    @property
    def scripts(self) -> list[str]:
        """Scripts that at least one face covers."""
        return [script for script in SCRIPTS if script in self._families]

    def draw_script(self, rng: Generator) -> str:
        """A covered script by its weight."""
        return pick_weighted(rng, {script: SCRIPTS[script].weight for script in self.scripts})

    def draw_face(self, rng: Generator, script: str) -> Face:
        """A face of the script; all families are equally likely, however many styles they have."""
        families = self._families[script]
        return pick(rng, families[pick(rng, list(families))])

    def draw_handwritten_face(self, rng: Generator, script: str) -> Face | None:
        """A handwritten face of the script, families equally likely; None if there is none."""
        families = [
            [face for face in faces if face.handwritten]
            for faces in self._families[script].values()
        ]
        families = [faces for faces in families if faces]
        return pick(rng, pick(rng, families)) if families else None

    def similar_face(self, rng: Generator, path: str, script: str) -> Face:
        """A face of about the same weight as the font `path`: the choice of a forger without it.

        It is another face unless no other covers the script.
        """
        faces = [face for family in self._families[script].values() for face in family]
        others = [face for face in faces if face.path != path] or faces
        candidates = [pick(rng, others) for _ in range(6)]
        probe = SCRIPTS[script].probes[0]
        weight = _ink_share(path, probe)
        return min(candidates, key=lambda face: abs(_ink_share(face.path, probe) - weight))
