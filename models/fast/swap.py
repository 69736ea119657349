"""Swapping modules of a built model for faster ones."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def swap(model: nn.Module, usual: type[M], make_fast: Callable[[M], nn.Module]) -> None:
    """Replace every `usual` module inside the model by what `make_fast` makes of it, in place."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, usual):
                setattr(parent, name, make_fast(child))


def adopt(fast: type[M], module: nn.Module) -> M:
    """A `fast` that holds all that `module` holds: the same parameters in the same order.

    `fast` is a subclass of the module's class without state of its own.
    """
    swapped = fast.__new__(fast)
    swapped.__dict__ = module.__dict__
    return swapped
