"""SQLite for Prefect's server, with writers that take turns instead of failing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


@dataclass
class _Turn:
    over: bool = False


_TURN: ContextVar[_Turn | None] = ContextVar("sqlite_turn", default=None)


class TurnTakingSqliteConfiguration(AioSqliteConfiguration):
    """Prefect's SQLite configuration, whose transactions hold the write lock from their first read on.

    Prefect begins most of them DEFERRED: two that read and then write at once cannot both have the lock, SQLite
    refuses one on the spot, the API answers 503 and the client sleeps for 2, 4, 8 seconds.
    """

    def __init__(self, connection_url: str) -> None:
        super().__init__(connection_url=connection_url)
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Enter a transaction of `session` once it is its turn to write."""
        if _in_a_turn():
            # its own caller holds the lock: asking for it again would wait for ever
            async with super().begin_transaction(session, with_for_update) as transaction:
                yield transaction
            return
        async with self._turn(), session.begin() as transaction:
            await _begin_immediate(session)
            token = SQLITE_BEGIN_MODE.set("DEFERRED")
            try:
                yield transaction
            finally:
                SQLITE_BEGIN_MODE.reset(token)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        # Waiting here is first come, first served, and holds no connection; SQLite's own waiting polls,
        # in no order, with one connection of the pool a waiter.
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            turn = _Turn()
            token = _TURN.set(turn)
            try:
                yield
            finally:
                turn.over = True
                _TURN.reset(token)


def _in_a_turn() -> bool:
    # a task started during a turn inherits it, and may outlive it
    turn = _TURN.get()
    return turn is not None and not turn.over


async def _begin_immediate(session: AsyncSession) -> None:
    token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
    try:
        await session.connection()
    finally:
        SQLITE_BEGIN_MODE.reset(token)
