"""Swapping modules of a built model for faster ones that hold the same parameters."""

from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def swap(model: nn.Module, usual: type[nn.Module], fast: type[nn.Module]) -> None:
    """Replace every `usual` inside the model by a `fast`, a subclass of it, in place.

    Parameters, their names and their order stay.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, usual):
                setattr(parent, name, adopt(fast, child))


def adopt(fast: type[M], module: nn.Module) -> M:
    """A `fast`, a subclass without state of its own, that holds all that `module` holds."""
    swapped = fast.__new__(fast)
    swapped.__dict__ = module.__dict__
    return swapped
