"""Random draws that the generator makes all over: coins, choices, sizes that are often small."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def generator(*key: int) -> np.random.Generator:
    """A generator that depends on the key alone, not on what was drawn before."""
    return np.random.default_rng(np.random.SeedSequence(key))


def coin(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One item, all equally likely."""
    return items[int(rng.integers(len(items)))]


def pick_weighted(rng: np.random.Generator, weights: dict[T, float]) -> T:
    """One key, with a probability proportional to its weight."""
    shares = np.cumsum(list(weights.values()))
    place = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
    return list(weights)[min(place, len(weights) - 1)]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in [low, high)."""
    return float(low + (high - low) * rng.random())


def log_between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform on a logarithmic scale, so that small values are frequent."""
    return math.exp(between(rng, math.log(low), math.log(high)))
