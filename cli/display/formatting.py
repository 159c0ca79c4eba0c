"""Numbers and moments, as people read them at a glance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def duration(seconds: float) -> str:
    """`0:42`, `12:03`, `1:04:10`."""
    minutes, left = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def tokens(count: int) -> str:
    """`950`, `12.3k`, `1.2M`."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1_000_000:.1f}M"


def dollars(amount: float) -> str:
    """Cents, and their fractions where that is all there is."""
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}"


def age(moment: datetime) -> str:
    """How long ago it was, in the largest unit."""
    seconds = max((datetime.now(UTC) - moment).total_seconds(), 0)
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit} ago"
    return f"{int(seconds)}s ago"


def read_moment(text: str) -> datetime:
    """A moment as people say it: `30m`, `12h`, `7d` (ago), or ISO 8601; raises ValueError.

    A date or time without an offset is this machine's.
    """
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[-1:] in units and text[:-1].isdigit():
        return datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
    return datetime.fromisoformat(text).astimezone()
