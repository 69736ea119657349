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


_QUOTE = reprlib.Repr()
_QUOTE.maxlevel = 2
_QUOTE.maxstring = _QUOTE.maxother = 80
