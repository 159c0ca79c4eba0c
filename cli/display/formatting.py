"""Formats numbers, durations and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

STYLES = {"completed": "green", "failed": "red", "timeout": "red", "error": "red", "running": "cyan"}
"""The colour of each status."""


def duration(seconds: float) -> str:
    """Return `0:42`, `12:03`, `1:04:10`."""
    minutes, left = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def tokens(count: int) -> str:
    """Return `950`, `12.3k`, `1.2M`."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1_000_000:.1f}M"


def dollars(amount: float) -> str:
    """Return an amount with cents; below a dollar with as many digits as show something: `$0.0017`, `$0.000020`."""
    if amount >= 1 or amount <= 0:
        return f"${amount:.2f}"
    return f"${amount:.4f}" if amount >= 0.001 else f"${amount:.6f}"


def age(moment: datetime) -> str:
    """Return how long ago the moment was, or how far ahead it is, in the largest unit."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    shown = f"{_largest_unit(abs(seconds))}"
    return f"in {shown}" if seconds < -1 else f"{shown} ago"


def _largest_unit(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def local_time(iso: str | None) -> str:
    """Return a time of the API in this machine's zone, to the second; empty for none."""
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M:%S %z}" if iso else ""


def read_moment(text: str) -> datetime:
    """Read `30m`, `12h`, `7d` (ago), or ISO 8601. Raises ValueError.

    A date or time without an offset is this machine's.
    """
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[-1:] in units and text[:-1].isdigit():
        return datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
    return datetime.fromisoformat(text).astimezone()
