"""Freed memory is given back, and only when there is much of it."""

import pytest
import torch

from utils.memory import FreedMemory, resident_bytes

MIB = 2**20


def leave_holes() -> torch.Tensor:
    """Freed blocks, 200 MB in all, small enough for the heap, below one that is still alive."""
    blocks = [torch.ones(100_000, dtype=torch.uint8) for _ in range(2000)]
    return blocks[-1]


@pytest.mark.skipif(FreedMemory()._trim is None, reason="needs glibc")
def test_freed_memory_is_given_back():
    kept = leave_holes()
    before = resident_bytes()
    FreedMemory(slack=0).give_back()
    assert resident_bytes() < before - 100 * MIB
    assert kept.sum() == 100_000


def test_little_memory_is_left_alone(monkeypatch):
    memory, calls = FreedMemory(slack=100), []
    monkeypatch.setattr(memory, "_trim", calls.append)
    for held in (90, 150, 200, 260, 251):
        monkeypatch.setattr("utils.memory.resident_bytes", lambda held=held: held)
        memory.give_back()
    assert len(calls) == 2, "at 150 bytes, and at 260: more than 100 beyond the 150 left"


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    memory = FreedMemory(slack=0)
    memory.give_back()
    assert memory._trim is None
