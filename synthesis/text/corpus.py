"""Words and numbers as they appear on signs, drawn from the vocabulary of a script."""

from numpy.random import Generator

from synthesis.sampling import coin, pick, pick_weighted
from synthesis.text.scripts import SCRIPTS

_CASES = {str.upper: 0.5, str.capitalize: 0.35, str.lower: 0.15}
# 9 stands for any digit, A for any capital; other characters stand for themselves.
_FORMS = """9|99|999|9999|9.99|99.99|$9.99|99%|-99%|99:99|99-99|99/99/9999
No. 99|999 999|(99) 9999|1999|2099|AA 999|A-99|AAA-9999|99km|99 m|9:99|A9"""
_NUMBER_FORMS = [form for line in _FORMS.splitlines() for form in line.split("|")]
_SYLLABLES = (
    "b br c ch d dr f fl g gr h j k l m n p pl r s st t tr v w z",
    "a e i o u ai ea ou io",
)
_ONSETS, _NUCLEI = map(str.split, _SYLLABLES)
_CODAS = ["", "", "n", "r", "s", "l", "t", "m", "nd", "ck"]


def draw_words(rng: Generator, script: str, count: int) -> list[str]:
    """`count` words of a script, usually in one case, sometimes with a number among them.

    A single word may also be a single capital, as on a door or a signpost.
    """
    vocabulary, cased = SCRIPTS[script].words, SCRIPTS[script].cased
    words = [pick(rng, vocabulary) for _ in range(count)]
    if count == 1 and cased and coin(rng, 0.08):
        return [words[0][0].upper()]
    if script == "latin" and coin(rng, 0.2):  # names and brands, not to be learnt by heart
        words = [_invented_word(rng) for _ in range(count)]
    if coin(rng, 0.15):
        words[rng.integers(count)] = draw_number(rng)
    return _in_one_case(rng, words) if cased else words


def draw_number(rng: Generator) -> str:
    """A number as signs show it: a price, time, telephone, year, plate or house number."""
    return "".join(_fill(rng, character) for character in pick(rng, _NUMBER_FORMS))


def similar_word(rng: Generator, word: str, script: str) -> str:
    """A forger's substitute for `word`: other digits, or a word of similar length."""
    if any(character.isdigit() for character in word):
        changed = "".join(str(rng.integers(10)) if each.isdigit() else each for each in word)
        if changed != word:
            return changed
    others = [
        other
        for other in SCRIPTS[script].words
        if abs(len(other) - len(word)) <= 1 and other.lower() != word.lower()
    ]
    if not others:
        return draw_number(rng)
    other = pick(rng, others)
    if word.isupper():
        return other.upper()
    return other.capitalize() if word.istitle() else other


def _in_one_case(rng: Generator, words: list[str]) -> list[str]:
    first = pick_weighted(rng, _CASES)(words[0])
    if first.isupper():
        return [word.upper() for word in words]
    if first.istitle() and coin(rng, 0.5):
        return [word.capitalize() for word in words]
    return [first, *words[1:]]


def _fill(rng: Generator, character: str) -> str:
    if character == "9":
        return str(rng.integers(10))
    return chr(ord("A") + rng.integers(26)) if character == "A" else character


def _invented_word(rng: Generator) -> str:
    syllables = range(rng.integers(1, 4))
    return "".join(pick(rng, _ONSETS) + pick(rng, _NUCLEI) + pick(rng, _CODAS) for _ in syllables)
