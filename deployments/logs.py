"""The service's own log: one line an event, on stderr."""

from __future__ import annotations

import logging
import sys

_QUIET = ("httpx", "httpcore", "websockets", "alembic", "aiosqlite")


def configure_logs(level: str = "info") -> None:
    """Write what the service logs as lines on stderr; what its libraries say only from warnings on."""
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
