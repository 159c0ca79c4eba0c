"""Parses DATABASE_URL."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from store.errors import StoreUnavailable

BACKENDS = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"}


def parse_address(database_url: str) -> URL:
    """Return the URL without its driver. Raises StoreUnavailable for another kind of database."""
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        # the text itself stays out of the message: it may hold a password
        raise StoreUnavailable("DATABASE_URL is not a URL", EXAMPLES, retryable=False) from None
    backend = BACKENDS.get(url.get_backend_name())
    if backend is None:
        raise StoreUnavailable(f"DATABASE_URL cannot be {url.get_backend_name()}", EXAMPLES, retryable=False)
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreUnavailable("DATABASE_URL names no SQLite file", EXAMPLES, retryable=False)
    return url.set(drivername=backend)


def display_address(url: URL) -> str:
    """Return the address for messages: without the password and the parameters that may hold one."""
    return url.set(query={}).render_as_string(hide_password=True)


EXAMPLES = "use sqlite:////var/lib/agents/store.sqlite3 or postgresql://user:password@host/name"
