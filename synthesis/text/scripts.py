"""Writing systems with the vocabularies of their signs."""

from dataclasses import dataclass
from pathlib import Path

_VOCABULARY = Path(__file__).parent / "vocabulary"


@dataclass(frozen=True)
class Script:
    """A writing system.

    Args:
        words: the vocabulary.
        weight: relative frequency among the scripts that the fonts cover.
        probes: characters that qualify a font for the script.
        cased: has capitals, and letters that may be tracked.
        square: letters fill a square and may run down.
        shaped: letters join or stack, which requires Raqm; without it the script is left out.
    """

    words: tuple[str, ...]
    weight: float
    probes: str
    cased: bool = False
    square: bool = False
    shaped: bool = False


def _script(name: str, weight: float, probes: str, **traits: bool) -> Script:
    words = (_VOCABULARY / f"{name}.txt").read_text(encoding="utf-8").split()
    return Script(tuple(words), weight, probes, **traits)


SCRIPTS = {
    "latin": _script("latin", 0.62, "AQgz09", cased=True),
    "cyrillic": _script("cyrillic", 0.06, "ЖЯщю", cased=True),
    "greek": _script("greek", 0.02, "ΩΨλέ", cased=True),
    "chinese": _script("chinese", 0.11, "出请臺", square=True),
    "japanese": _script("japanese", 0.04, "駐ラきれ", square=True),
    "korean": _script("korean", 0.04, "출서울", square=True),
    "arabic": _script("arabic", 0.04, "مخرجأى", shaped=True),
    "thai": _script("thai", 0.04, "ทห้น้ำ", shaped=True),
    "devanagari": _script("devanagari", 0.03, "प्रखुला", shaped=True),
}
