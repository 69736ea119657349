"""Named choices of one kind; `upocr/registry.py` defines them."""

from upocr.registry import Registry

__all__ = ["Registry"]
