"""The task that carries waiting events to the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from uuid import UUID

from store.database.database import Database
from store.errors import StoreUnavailable
from store.journal.batch import Batch
from store.journal.buffer import JournalBuffer
from store.journal.entry import Entry
from store.journal.outage import Outage

logger = logging.getLogger(__name__)

BATCH_EVENTS = 250
BATCH_BYTES = 4 * 1024 * 1024
LINGER_SECONDS = 0.04
RETRY_SECONDS = 1.0
TRIES = 3  # for what is not an outage

Written = Callable[[UUID, list[Entry]], None]


class JournalWriter:
    """Writes what waits in `buffer`: at once after a silence, in a stream every `LINGER_SECONDS`."""

    def __init__(self, database: Database, buffer: JournalBuffer, on_written: Written) -> None:
        self._database = database
        self._buffer = buffer
        self._on_written = on_written
        self._outage = Outage(buffer)
        self._loop = asyncio.get_running_loop()
        self._asleep = False
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._advance = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="journal writer")

    def nudge(self) -> None:
        """Say, from any thread, that something waits."""
        if self._asleep:
            self._asleep = False
            with contextlib.suppress(RuntimeError):  # the loop is closed, and so is the store
                self._loop.call_soon_threadsafe(self._wake.set)

    async def reach(self, position: int, seconds: float) -> None:
        """Return once the buffer's `done` has come to `position`, or raise `StoreUnavailable`."""
        try:
            async with asyncio.timeout(seconds):
                while self._buffer.done < position:
                    self._hurry.set()
                    self._advance.clear()
                    await self._advance.wait()
        except TimeoutError:
            late = f"{len(self._buffer)} events still unwritten after {seconds:g} s"
            raise StoreUnavailable(f"{late}: {self._outage.reason or 'the database is slow'}") from None

    async def close(self) -> None:
        """Stop, whatever still waits."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._asleep = True  # before the look: no event can slip in between
            events = self._buffer.batch(BATCH_EVENTS, BATCH_BYTES)
            if not events:
                await self._wake.wait()
                continue
            self._asleep = False
            await self._deliver(Batch(events))
            if len(self._buffer) < BATCH_EVENTS:
                await self._pause(LINGER_SECONDS)

    async def _deliver(self, batch: Batch) -> None:
        while (written := await self._attempt(batch)) is None:
            await self._pause(RETRY_SECONDS)
        self._advance.set()
        for run_id, new in written.items():
            self._on_written(run_id, new)

    async def _attempt(self, batch: Batch) -> dict[UUID, list[Entry]] | None:
        """What was written; None: try again."""
        try:
            written = await batch.write(self._database)
        except StoreUnavailable as error:
            self._outage.goes_on(error.reason)
            return None
        except Exception as error:
            if batch.tries < TRIES:
                self._outage.goes_on(repr(error))
                return None
            # it can never be written, and must not hold up what comes behind it
            logger.exception("journal: the database refused %d events", len(batch.events))
            self._buffer.discard(batch.events, written=False)
            await self._pause(RETRY_SECONDS)
            return {}
        self._buffer.discard(batch.events, written=True)
        self._outage.ends()
        return written

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        self._hurry.clear()
