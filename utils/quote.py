"""Names and values of files in messages; `upocr/quote.py` defines them."""

from upocr.quote import printable, quote

__all__ = ["printable", "quote"]
