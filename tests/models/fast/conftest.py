"""Fixtures for tests of compiled models."""

import pytest
import torch


class CountingBackend:
    """Counts what dynamo hands to a compiler, and compiles nothing."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


@pytest.fixture
def counting_backend():
    """A fresh counting backend of `torch.compile`."""
    torch._dynamo.reset()
    yield CountingBackend()
    torch._dynamo.reset()
