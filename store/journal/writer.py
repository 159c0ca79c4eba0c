"""Background task that writes the buffer."""

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
from store.journal.outage import JournalOutage

logger = logging.getLogger(__name__)

BATCH_EVENTS = 250
BATCH_BYTES = 4 * 1024 * 1024
BATCH_INTERVAL_SECONDS = 0.04  # one transaction for all events of this time; readers see them as soon
RETRY_SECONDS = 1.0
MAX_TRIES = 3  # for errors that are not an outage

Written = Callable[[UUID, list[Entry]], None]


class JournalWriter:
    """Writes the events in `buffer`, at once after a pause, else every `BATCH_INTERVAL_SECONDS`; one per Journal."""

    def __init__(self, database: Database, buffer: JournalBuffer, on_written: Written) -> None:
        self._database = database
        self._buffer = buffer
        self._on_written = on_written
        self._outage = JournalOutage(buffer)
        self._loop = asyncio.get_running_loop()
        self._asleep = False
        self._wake = asyncio.Event()
        self._flush_requested = asyncio.Event()
        self._advance = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="journal writer")

    def notify(self) -> None:
        """Wake the task, from any thread, after an event was put into the buffer."""
        if self._asleep:
            self._asleep = False
            with contextlib.suppress(RuntimeError):  # the loop is closed, and so is the store
                self._loop.call_soon_threadsafe(self._wake.set)

    async def wait_until_written(self, position: int, seconds: float) -> None:
        """Return once the buffer's `done` has reached `position`. Raises StoreUnavailable after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self._buffer.done < position:
                    self._flush_requested.set()
                    self._advance.clear()
                    await self._advance.wait()
        except TimeoutError:
            late = f"{len(self._buffer)} events still unwritten after {seconds:g} s"
            raise StoreUnavailable(f"{late}: {self._outage.reason or 'the database is slow'}") from None

    async def close(self) -> None:
        """Stop; events that still wait are lost."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._asleep = True  # set before the buffer is read, or an event put in between would wait for the next one
            events = self._buffer.batch(BATCH_EVENTS, BATCH_BYTES)
            if not events:
                await self._wake.wait()
                continue
            self._asleep = False
            await self._deliver(Batch(events))
            if len(self._buffer) < BATCH_EVENTS:
                await self._pause(BATCH_INTERVAL_SECONDS)

    async def _deliver(self, batch: Batch) -> None:
        while (written := await self._attempt(batch)) is None:
            await self._pause(RETRY_SECONDS)
        self._advance.set()
        for run_id, new in written.items():
            self._on_written(run_id, new)

    async def _attempt(self, batch: Batch) -> dict[UUID, list[Entry]] | None:
        """Return the written entries by run, or None to try again."""
        try:
            written = await batch.write(self._database)
        except StoreUnavailable as error:
            self._outage.record_failure(str(error))
            return None
        except Exception as error:
            if batch.tries < MAX_TRIES:
                self._outage.record_failure(repr(error))
                return None
            # it can never be written, and must not block the events behind it
            logger.exception("journal: the database refused %d events", len(batch.events))
            self._buffer.discard(batch.events, written=False)
            await self._pause(RETRY_SECONDS)
            return {}
        self._buffer.discard(batch.events, written=True)
        self._outage.record_success()
        return written

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._flush_requested.wait()
        self._flush_requested.clear()
