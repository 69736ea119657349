"""Names and values of files in messages: short, on one line, printable, whatever they are."""

import reprlib

LONGEST = 120  # characters


def quote(value: object) -> str:
    """`repr` of a value, shortened; a list that holds itself many times over takes no time."""
    try:
        text = _QUOTE.repr(value)
    except Exception:  # a hostile value may raise anything, a huge integer does
        text = f"<{type(value).__name__}>"
    return shortened(text)


def shortened(text: str) -> str:
    """A text on one line, of at most `LONGEST` characters, all printable."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def printable(text: str) -> str:
    """The text with an escape such as `\\x1b` for each character that a terminal would obey.

    Line breaks and tabs, too; characters of any script stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


_QUOTE = reprlib.Repr()
_QUOTE.maxlevel = 2
_QUOTE.maxstring = _QUOTE.maxother = 80
