"""One database, SQLite or PostgreSQL, to read from and to write to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from store.address import parse_address
from store.errors import StoreUnavailable
from store.failures import reported
from store.postgresql import open_postgresql
from store.sqlite import open_sqlite

PATIENCE_SECONDS = 30


class Database:
    """One database; every wait has an end, and every failure of it is a `StoreUnavailable`."""

    def __init__(self, database_url: str) -> None:
        self.url: URL = parse_address(database_url)
        self.is_sqlite = self.url.drivername == "sqlite"
        with reported(self.url):
            self._reader, self._writer = (open_sqlite if self.is_sqlite else open_postgresql)(self.url)
        self._closed = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement stands alone."""
        self._check_open()
        with reported(self.url):
            async with asyncio.timeout(PATIENCE_SECONDS), self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self, *, durable: bool = True, seconds: float = PATIENCE_SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end; without `durable` a power cut may still undo it."""
        self._check_open()
        writer = self._writer.execution_options(durable=durable)
        with reported(self.url):
            async with asyncio.timeout(seconds), writer.begin() as connection:
                yield connection

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """The insert of this database's own dialect, which knows `on_conflict_do_update`."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    async def close(self) -> None:
        """Close every connection; whoever comes later is refused."""
        self._closed = True
        for engine in (self._reader, self._writer):
            await engine.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed", retryable=False)
