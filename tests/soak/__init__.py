"""Long attacks: `python -m tests.soak`; every module has `soak(scale)`, which returns rows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One kind of attack: its name, and how many were tried, survived and failed."""

    name: str
    tried: int
    survived: int
    failed: int
