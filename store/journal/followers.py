"""Tells the readers of a run that its journal has grown, wherever it was written."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import select

from store.database.database import Database
from store.database.schema import journals
from store.errors import StoreUnavailable
from store.journal.entry import Entry

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
POLL_RUNS = 500
KEPT_CHARACTERS = 1_000_000


class JournalFollower:
    """One reader of a run that has had everything up to `after`."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.closed = False
        self._fresh: list[Entry] = []
        self._size = 0
        self._grown = asyncio.Event()

    def offer(self, entries: list[Entry]) -> None:
        """These were written just now; a slow reader does without, and finds them in the database."""
        self._size += sum(len(entry.body) for entry in entries)
        if self._size > KEPT_CHARACTERS:
            self._fresh = []
        else:
            self._fresh += entries
        self.wake()

    def take(self) -> list[Entry]:
        """What was offered since, if it follows on `after` without a hole; the next `wait` is for what comes later."""
        self._grown.clear()
        fresh, self._fresh, self._size = self._fresh, [], 0
        seqs = [entry.seq for entry in fresh]
        return fresh if seqs == list(range(self.after + 1, self.after + 1 + len(seqs))) else []

    def wake(self) -> None:
        """There is something to read, or a reason to look."""
        self._grown.set()

    async def wait(self) -> None:
        """Return when there is something to read, or a reason to look."""
        await self._grown.wait()


class JournalWatch:
    """Knows who follows which run: what this process writes is handed over, the rest found by polling."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followers: dict[UUID, set[JournalFollower]] = defaultdict(set)
        self._followed = asyncio.Event()
        self._task = asyncio.create_task(self._poll(), name="journal watch")

    @contextmanager
    def follow(self, run_id: UUID, after: int) -> Iterator[JournalFollower]:
        """A follower of this run for as long as this is open."""
        follower = JournalFollower(after)
        self._followers[run_id].add(follower)
        self._followed.set()
        try:
            yield follower
        finally:
            self._followers[run_id].discard(follower)
            if not self._followers[run_id]:
                del self._followers[run_id]

    def written(self, run_id: UUID, entries: list[Entry]) -> None:
        """This process has written these."""
        for follower in self._followers.get(run_id, ()):
            follower.offer(entries)

    async def close(self) -> None:
        """Let every follower go."""
        self._task.cancel()
        await asyncio.wait([self._task])
        for follower in self._everyone():
            follower.closed = True
            follower.wake()

    async def _poll(self) -> None:
        while True:
            await self._followed.wait()
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._look()
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    logger.exception("journal: cannot see what other processes write")
                for follower in self._everyone():
                    follower.wake()  # each meets the trouble itself, and its caller hears of it
            if not self._followers:
                self._followed.clear()

    async def _look(self) -> None:
        run_ids = list(self._followers)
        query = select(journals.c.run_id, journals.c.last_seq)
        for start in range(0, len(run_ids), POLL_RUNS):
            some = run_ids[start : start + POLL_RUNS]
            for run_id, last in await self._database.rows(query.where(journals.c.run_id.in_(some))):
                for follower in self._followers.get(run_id, ()):
                    if last > follower.after:
                        follower.wake()

    def _everyone(self) -> list[JournalFollower]:
        return [follower for followers in self._followers.values() for follower in followers]
