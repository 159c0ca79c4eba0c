"""Forgets what has been kept for as long as the settings say, and removes what nobody will ask for."""

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

_FIRST_SECONDS = 120.0
_EVERY_SECONDS = 6 * 3600.0
_LOOK_SECONDS = 30.0
_WHEN_LOW_SECONDS = 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """One host's; any number of hosts may do it at once."""

    workspaces: Workspaces
    store: Store
    settings: StoreSettings
    run_retention_days: int = 90
    leftovers: StateCleanup | None = None
    is_disk_low: Callable[[], bool] = lambda: False

    @asynccontextmanager
    async def going_on(
        self, first_seconds: float = _FIRST_SECONDS, every_seconds: float = _EVERY_SECONDS
    ) -> AsyncIterator[None]:
        """Do it every few hours while this is open, sooner when the disk gets full; first once the host has started."""
        async with background_task(self._go_on(first_seconds, every_seconds)):
            yield

    async def once(self) -> None:
        """Forget what is old; what cannot be reached now is left to the next time, and the log says so."""
        await self._drop_kept()
        await self._trim_store()
        if self.leftovers is not None:
            await self.leftovers.vacate_slots()
            await asyncio.to_thread(self.leftovers.remove_files)

    async def _drop_kept(self) -> None:
        try:
            for kept in await self.workspaces.drop_older_than():
                _log.info("forgot the work of run %s, kept since %s", kept.run_id, kept.kept_at)
        except (AgentError, OSError) as error:
            _log.warning("kept work could not be looked through: %s", error)

    async def _trim_store(self) -> None:
        now = datetime.now(UTC)
        # a day more than the runs themselves: no run that is still there lacks its outcome
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

    async def _go_on(self, first_seconds: float, every_seconds: float) -> None:
        await asyncio.sleep(first_seconds)
        while True:
            try:
                await self.once()
            except Exception:
                _log.exception("the upkeep failed; it is tried again later")
            await self._rest(every_seconds)

    async def _rest(self, seconds: float) -> None:
        """Return when it is time again, or when it may make room on a full disk."""
        done_at = time.monotonic()
        while (rested := time.monotonic() - done_at) < seconds:
            if rested >= _WHEN_LOW_SECONDS and self.is_disk_low():
                return
            await asyncio.sleep(min(_LOOK_SECONDS, seconds - rested))
