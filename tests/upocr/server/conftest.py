"""Fixtures of the tests of the server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from own_images import Painter
from own_server import Running, encoded, noise_with_text, running

from upocr import UPOCR


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server with the default limits."""
    with running(UPOCR(Painter())) as found:
        yield found


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts further servers, which end with the test."""
    with ExitStack() as stack:
        yield lambda model, **limits: stack.enter_context(running(model, **limits))


@pytest.fixture
def upload() -> bytes:
    """A PNG with text."""
    return encoded(noise_with_text())
