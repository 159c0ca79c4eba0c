"""Wakes readers when a journal has grown, on any host."""

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

POLL_SECONDS = 0.25  # delay of events that another host wrote
RUNS_PER_QUERY = 500  # below SQLite's limit of 999 variables in older builds
OFFERED_CHARACTERS = 1_000_000  # of one slow reader in memory; past it the reader reads the database


class JournalFollower:
    """One reader of a run that has read everything up to `after`; JournalWatch makes it for each `follow`."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.closed = False
        self._fresh: list[Entry] = []
        self._size = 0
        self._grown = asyncio.Event()

    def offer(self, entries: list[Entry]) -> None:
        """Hand over entries that this process has written; a slow reader reads them from the database instead."""
        self._size += sum(len(entry.body) for entry in entries)
        if self._size > OFFERED_CHARACTERS:
            self._fresh = []
        else:
            self._fresh += entries
        self.wake()

    def take(self) -> list[Entry]:
        """Return the entries offered since, if they follow `after` without a hole, else none."""
        self._grown.clear()
        fresh, self._fresh, self._size = self._fresh, [], 0
        seqs = [entry.seq for entry in fresh]
        return fresh if seqs == list(range(self.after + 1, self.after + 1 + len(seqs))) else []

    def wake(self) -> None:
        """End `wait`: there is something to read, or the reader should look."""
        self._grown.set()

    async def wait(self) -> None:
        """Return after `wake`."""
        await self._grown.wait()


class JournalWatch:
    """The readers of all runs; one per Journal. Gets what this process writes, and polls for what other hosts write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followers: dict[UUID, set[JournalFollower]] = defaultdict(set)
        self._followed = asyncio.Event()
        self._task = asyncio.create_task(self._poll(), name="journal watch")

    @contextmanager
    def follow(self, run_id: UUID, after: int) -> Iterator[JournalFollower]:
        """Register a follower of this run while this is open."""
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
        """Hand entries that this process has written to the followers of the run."""
        for follower in self._followers.get(run_id, ()):
            follower.offer(entries)

    async def close(self) -> None:
        """Stop polling and end every follower."""
        self._task.cancel()
        await asyncio.wait([self._task])
        for follower in self._all_followers():
            follower.closed = True
            follower.wake()

    async def _poll(self) -> None:
        while True:
            await self._followed.wait()
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._poll_once()
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    logger.exception("journal: cannot see what other processes write")
                for follower in self._all_followers():
                    follower.wake()  # each reads for itself, and its caller gets the error
            if not self._followers:
                self._followed.clear()

    async def _poll_once(self) -> None:
        run_ids = list(self._followers)
        query = select(journals.c.run_id, journals.c.last_seq)
        for start in range(0, len(run_ids), RUNS_PER_QUERY):
            some = run_ids[start : start + RUNS_PER_QUERY]
            for run_id, last in await self._database.rows(query.where(journals.c.run_id.in_(some))):
                for follower in self._followers.get(run_id, ()):
                    if last > follower.after:
                        follower.wake()

    def _all_followers(self) -> list[JournalFollower]:
        return [follower for followers in self._followers.values() for follower in followers]
