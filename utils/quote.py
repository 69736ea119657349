"""Values of files in messages; `upocr/quote.py` defines them."""

from upocr.quote import quote

__all__ = ["quote"]
