"""Retries requests while the service is unavailable."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

from cli.errors import ServiceRefused

AWAY_SECONDS = 300.0
PASSING = frozenset({502, 503, 504})

_PAUSE_SECONDS = 1.0

T = TypeVar("T")


def insist(ask: Callable[[], T], tell: Callable[[str], None] = lambda trouble: None) -> T:
    """Return what `ask` returns, and call `tell` with the reason of each failure. Raises after five minutes."""
    until = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return ask()
        except (httpx.TransportError, ServiceRefused) as error:
            if not is_passing(error) or time.monotonic() > until:
                raise
            tell(trouble_of(error))
        time.sleep(_PAUSE_SECONDS)


def is_passing(error: Exception) -> bool:
    """True if the same request may succeed a little later."""
    return not isinstance(error, ServiceRefused) or error.status_code in PASSING


def trouble_of(error: Exception) -> str:
    """Return why there was no answer, in a few words."""
    return str(error) if isinstance(error, ServiceRefused) else f"no answer ({type(error).__name__})"
