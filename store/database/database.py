"""A database connection pool: reads and serialized writes, SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Row, Select, Table, UpdateBase
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database.address import parse_address
from store.database.failures import translate_errors
from store.database.postgresql import open_postgresql
from store.database.sqlite import open_sqlite
from store.errors import StoreUnavailable

TRANSACTION_SECONDS = 20  # longer than SQLite's busy timeout, so that its own message is the one translate_errors

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
Opening = AbstractAsyncContextManager[AsyncConnection]


class Database:
    """One database; every wait is bounded, and every failure is a StoreUnavailable. `open_store` makes one per process.

    Work that has begun runs to its end when its caller is cancelled: an interrupted driver loses its connection, and
    aiosqlite a thread as well.
    """

    def __init__(self, database_url: str) -> None:
        self.url: URL = parse_address(database_url)
        self.is_sqlite = self.url.drivername == "sqlite"
        with translate_errors(self.url):
            self._reader, self._writer = (open_sqlite if self.is_sqlite else open_postgresql)(self.url)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def read(self, work: Work[T]) -> T:
        """Run `work` with a connection on which each statement is a transaction of its own."""
        return await self._finish(self._reader.connect(), work, TRANSACTION_SECONDS)

    async def write(self, work: Work[T], *, durable: bool = True, seconds: float = TRANSACTION_SECONDS) -> T:
        """Run `work` in a transaction and commit it; without `durable` a power cut may still undo it."""
        return await self._finish(self._writer.execution_options(durable=durable).begin(), work, seconds)

    @asynccontextmanager
    async def hold_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that lasts as long as this is open and commits nothing."""
        connection = self._writer.connect()
        with translate_errors(self.url):
            async with asyncio.timeout(TRANSACTION_SECONDS):
                await connection.start()
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Return all rows of `query`."""

        async def fetch(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(query)).all()

        return await self.read(fetch)

    async def change(self, statement: UpdateBase, *, durable: bool = True) -> int:
        """Execute `statement` in a transaction of its own and return the number of rows it changed."""

        async def execute(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return await self.write(execute, durable=durable)

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Return the insert of this database's dialect, which has `on_conflict_do_update`."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    async def close(self) -> None:
        """Finish running work and close every connection; later calls raise StoreUnavailable."""
        self._closed = True
        if self._under_way:
            await asyncio.wait(self._under_way)
        for engine in (self._reader, self._writer):
            await engine.dispose()

    async def _finish(self, opening: Opening, work: Work[T], seconds: float) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed", retryable=False)
        task = asyncio.create_task(self._run(opening, work, seconds))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _run(self, opening: Opening, work: Work[T], seconds: float) -> T:
        with translate_errors(self.url):
            async with asyncio.timeout(seconds), opening as connection:
                return await work(connection)
