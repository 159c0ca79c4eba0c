"""Deletes records past their retention period."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.domain.errors import AgentError
from agent.system.concurrency import background_task
from agent.workspaces.workspaces import Workspaces
from deployments.maintenance.state_cleanup import StateCleanup
from store.errors import StoreError
from store.settings import StoreSettings
from store.store import Store

_START_DELAY_SECONDS = 120.0  # a host that starts has more urgent work
_INTERVAL_SECONDS = 6 * 3600.0
_DISK_CHECK_SECONDS = 30.0
_LOW_DISK_INTERVAL_SECONDS = 3600.0  # a full disk that stays full must not repack mirrors all the time

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """The periodic clean-up of one host, made at its start; several hosts may run it at once."""

    workspaces: Workspaces
    store: Store
    settings: StoreSettings
    run_retention_days: int = 90
    cleanup: StateCleanup | None = None
    is_disk_low: Callable[[], bool] = lambda: False

    @asynccontextmanager
    async def repeating(
        self, first_seconds: float = _START_DELAY_SECONDS, every_seconds: float = _INTERVAL_SECONDS
    ) -> AsyncIterator[None]:
        """Run every few hours while this is open, sooner when the disk is nearly full."""
        async with background_task(self._repeat(first_seconds, every_seconds)):
            yield

    async def run(self) -> None:
        """Delete what is past its retention; a failure is logged, and the next time tries again."""
        await self._drop_kept()
        await self._trim_store()
        if self.cleanup is not None:
            await self.cleanup.vacate_slots()
            await asyncio.to_thread(self.cleanup.remove_files)

    async def _drop_kept(self) -> None:
        try:
            for kept in await self.workspaces.drop_older_than():
                _log.info("deleted the kept work of run %s, kept since %s", kept.run_id, kept.kept_at)
        except (AgentError, OSError) as error:
            _log.warning("kept work could not be read: %s", error)

    async def _trim_store(self) -> None:
        now = datetime.now(UTC)
        # a day more than the runs themselves: a run that still exists has its outcome
        days = self.settings.record_retention_days or self.run_retention_days + 1
        try:
            trimmed = await self.store.trim(
                now - timedelta(days=self.settings.journal_retention_days),
                records_older_than=now - timedelta(days=days),
            )
        except StoreError as error:
            _log.warning("the store could not be trimmed: %s", error)
        else:
            _log.debug("trimmed the store: %s", trimmed)

    async def _repeat(self, first_seconds: float, every_seconds: float) -> None:
        await asyncio.sleep(first_seconds)
        while True:
            try:
                await self.run()
            except Exception:
                _log.exception("the clean-up failed; it is tried again later")
            await self._wait(every_seconds)

    async def _wait(self, seconds: float) -> None:
        """Return after `seconds`, or after an hour if the disk is nearly full."""
        done_at = time.monotonic()
        while (rested := time.monotonic() - done_at) < seconds:
            if rested >= _LOW_DISK_INTERVAL_SECONDS and self.is_disk_low():
                return
            await asyncio.sleep(min(_DISK_CHECK_SECONDS, seconds - rested))
