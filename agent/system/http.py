"""HTTP rules that several clients and proxies share: hop-by-hop headers, Retry-After, the URL of a listening server."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade".split()
)
"""Headers of one connection, which a proxy does not pass on. `transfer-encoding` is apart: its framing may be kept."""

LONGEST_WAIT_SECONDS = 400 * 86_400.0
"""A server that names a longer wait is read as this one: dates beyond it overflow, and no caller waits so long."""


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, a number or an HTTP date; None if it is neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        if when.tzinfo is None:  # "-0000": UTC, says RFC 9110 of HTTP dates
            when = when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else None


def http_origin(host: str, port: int) -> str:
    """Return the URL by which this machine reaches a server that listens on `host` and `port`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
