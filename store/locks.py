"""Named locks across processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from filelock import AsyncFileLock
from sqlalchemy import text

from store.database.database import Database
from store.database.failures import translate_errors

LOCK_WAIT_SECONDS = 120  # several times what a bootstrap takes on a slow machine


class NamedLocks:
    """Locks by name: on PostgreSQL among all hosts, on SQLite among those that share the file. One object per Store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def acquire(self, name: str) -> AsyncIterator[None]:
        """Hold the lock while this is open; a process that dies releases it. Raises StoreUnavailable."""
        if self._database.is_sqlite:
            lock = AsyncFileLock(f"{self._database.url.database}.{name}.lock", timeout=LOCK_WAIT_SECONDS)
            with translate_errors(self._database.url):
                await lock.acquire()
            try:
                yield
            finally:
                await lock.release()
            return
        async with self._database.hold_transaction() as connection:
            with translate_errors(self._database.url):
                await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'"))
                await connection.execute(text("SET LOCAL statement_timeout = 0"))
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_number(name)})"))
            yield


def _number(name: str) -> int:
    """Return the number of PostgreSQL's advisory lock; the same in every process."""
    return int.from_bytes(sha256(f"claude-agent-store {name}".encode()).digest()[:8], "big", signed=True)
