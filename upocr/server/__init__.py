"""HTTP API and web page for own images; importing this package needs no web framework."""

from upocr.server.command import add_arguments, main
from upocr.server.limits import Limits

__all__ = ["Limits", "add_arguments", "main"]
