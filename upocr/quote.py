"""Values of files in messages: short, on one line, whatever they are."""

import reprlib

LONGEST = 120  # characters


def quote(value: object) -> str:
    """`repr` of a value, shortened; a list that holds itself many times over takes no time."""
    try:
        text = _QUOTE.repr(value)
    except Exception:  # a hostile value may raise anything, a huge integer does
        text = f"<{type(value).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def printable(text: str) -> str:
    """Text whose control characters, and bytes that are not UTF-8, are written as escapes."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


_QUOTE = reprlib.Repr()
_QUOTE.maxlevel = 2
_QUOTE.maxstring = _QUOTE.maxother = 80
