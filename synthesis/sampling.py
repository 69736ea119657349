"""Random draws that NumPy's generators lack: from a key, of any item, on a logarithmic scale."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.random import Generator

T = TypeVar("T")


def generator(*key: int) -> Generator:
    """A generator that depends on the key alone, not on earlier draws."""
    return np.random.default_rng(key)


def coin(rng: Generator, probability: float) -> bool:
    """True with the given probability."""
    return rng.random() < probability


def pick(rng: Generator, items: Sequence[T]) -> T:
    """One item, all equally likely."""
    return items[int(rng.integers(len(items)))]


def pick_weighted(rng: Generator, weights: Mapping[T, float]) -> T:
    """One key, with a probability proportional to its weight."""
    shares = np.cumsum(list(weights.values()))
    index = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
    return list(weights)[min(index, len(weights) - 1)]


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Uniform on a logarithmic scale: small values are frequent. `high` may be below `low`."""
    logarithm = math.log(low)
    return math.exp(logarithm + (math.log(high) - logarithm) * rng.random())
