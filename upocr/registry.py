"""Named choices of one kind: tasks, data sets, losses, evaluators, results."""

from collections.abc import Callable
from typing import TypeVar

from upocr.quote import quote

T = TypeVar("T")


class Registry(dict[str, T]):
    """A dictionary whose errors list the choices.

    Args:
        kind: noun for messages, such as `task`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds its argument as `name`; ValueError if the name is taken."""

        def add(entry: T) -> T:
            if name in self:
                raise ValueError(f"the {self.kind} {name!r} is registered twice")
            self[name] = entry
            return entry

        return add

    def __missing__(self, name: str) -> T:
        raise ValueError(f"unknown {self.kind} {quote(name)}, expected one of {', '.join(self)}")
