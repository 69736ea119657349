"""Freed memory stays with the process that asks for it."""

import platform
import subprocess
import sys

import pytest

from utils.memory import keep_freed_memory

MIB = 2**20
FREE_A_LARGE_TENSOR = """
import os
import torch
from utils.memory import keep_freed_memory

def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

kept = {keep} and keep_freed_memory()
before = held()
torch.ones(200 * 2**20, dtype=torch.uint8)
print(int(kept), held() - before)
"""


def memory_held_after(keep: bool) -> tuple[bool, int]:
    """Whether freed memory is kept, and the bytes that a tensor of 200 MiB leaves behind."""
    code = FREE_A_LARGE_TENSOR.format(keep=keep)
    command = [sys.executable, "-c", code]
    kept, held = subprocess.run(command, capture_output=True, check=True).stdout.split()
    return bool(int(kept)), int(held)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept_only_when_asked():
    assert memory_held_after(keep=False)[1] < 20 * MIB
    kept, held = memory_held_after(keep=True)
    assert kept
    assert held > 190 * MIB


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert keep_freed_memory() is False
