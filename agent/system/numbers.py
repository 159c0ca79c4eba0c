"""Reads counts and amounts from the CLI's messages, whatever an agent or a broken CLI has put there."""

from __future__ import annotations

import math

MAX_COUNT = 10**12
MAX_AMOUNT = 1_000_000.0
"""Of dollars or milliseconds: past any run. More is forged, and would make each sum with it meaningless."""


def read_count(value: object) -> int:
    """Return a count of something; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value <= MAX_COUNT else 0


def read_amount(value: object) -> float | None:
    """Return a finite amount that is not negative; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MAX_AMOUNT and math.isfinite(value) else None
