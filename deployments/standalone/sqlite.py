"""SQLite settings for Prefect's server: writers queue instead of failing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


@dataclass(frozen=True)
class _Turn:
    task: asyncio.Task[Any] | None
    session: AsyncSession


_TURN: ContextVar[_Turn | None] = ContextVar("sqlite_turn", default=None)


class TurnTakingSqliteConfiguration(AioSqliteConfiguration):
    """Prefect's SQLite configuration with transactions that take the write lock before their first read.

    Prefect begins most of them DEFERRED. Of two that read and then write, SQLite refuses one at once: the API answers
    503, and the client sleeps for 2, 4, 8 seconds. One object per server process.
    """

    def __init__(self, connection_url: str) -> None:
        super().__init__(connection_url=connection_url)
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction of `session` as the only writer; inside one of the same task, a savepoint of that."""
        turn = _TURN.get()
        # a task that was started during a turn inherits the variable, but is not inside the turn
        if turn is not None and turn.task is asyncio.current_task():
            await _join(session, turn.session)
            async with session.begin() as transaction:
                yield transaction
        else:
            async with self._turn(session) as transaction:
                yield transaction

    @asynccontextmanager
    async def _turn(self, session: AsyncSession) -> AsyncGenerator[AsyncSessionTransaction, None]:
        # Waiting here is in order and holds no connection of the pool; SQLite's own waiting polls.
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            token = _TURN.set(_Turn(asyncio.current_task(), session))
            try:
                async with session.begin() as transaction, _begun_immediate(session):
                    yield transaction
            finally:
                _TURN.reset(token)


async def _join(session: AsyncSession, holder: AsyncSession) -> None:
    # On another connection it would wait for the lock that its caller holds, and fail after a minute: so its
    # transaction becomes a savepoint of the caller's.
    connection = await holder.connection()
    session.sync_session.bind = connection.sync_connection
    session.sync_session.join_transaction_mode = "create_savepoint"


@asynccontextmanager
async def _begun_immediate(session: AsyncSession) -> AsyncGenerator[None, None]:
    token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
    try:
        await session.connection()
        # other transactions of this task only read
        SQLITE_BEGIN_MODE.set("DEFERRED")
        yield
    finally:
        SQLITE_BEGIN_MODE.reset(token)
