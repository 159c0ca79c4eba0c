"""One after the other, among all processes: what must not be done by two hosts at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from filelock import AsyncFileLock
from sqlalchemy import text

from store.database.database import Database
from store.database.failures import reported

WAIT_SECONDS = 120


class NamedLocks:
    """Turns by name: on PostgreSQL among all hosts, on SQLite among those that share the file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Nobody else has this turn while it is open; who dies in it gives it back. Raises StoreUnavailable."""
        if self._database.is_sqlite:
            lock = AsyncFileLock(f"{self._database.url.database}.{name}.lock", timeout=WAIT_SECONDS)
            with reported(self._database.url):
                await lock.acquire()
            try:
                yield
            finally:
                await lock.release()
            return
        async with self._database.held() as connection:
            with reported(self._database.url):
                await connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
                await connection.execute(text("SET LOCAL statement_timeout = 0"))
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_number(name)})"))
            yield


def _number(name: str) -> int:
    """The number that PostgreSQL knows the turn by; the same in every process."""
    return int.from_bytes(sha256(f"claude-agent-store {name}".encode()).digest()[:8], "big", signed=True)
