"""Forgets what has been kept for as long as the settings say: agents' unpushed work, journals, old records."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.errors import AgentError
from agent.workspaces import Workspaces
from deployments.background import meanwhile
from store.errors import StoreError
from store.settings import StoreSettings
from store.store import Store

_FIRST_SECONDS = 120.0
_EVERY_SECONDS = 6 * 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upkeep:
    """One host's; any number of hosts may do it at once."""

    workspaces: Workspaces
    store: Store
    settings: StoreSettings

    @asynccontextmanager
    async def going_on(
        self, first_seconds: float = _FIRST_SECONDS, every_seconds: float = _EVERY_SECONDS
    ) -> AsyncIterator[None]:
        """Do it every few hours while this is open, for the first time once the host has had time to start."""
        async with meanwhile(self._go_on(first_seconds, every_seconds)):
            yield

    async def once(self) -> None:
        """Forget what is old; what cannot be reached now is left to the next time, and the log says so."""
        try:
            for kept in await self.workspaces.drop_older_than():
                _log.info("forgot the work of run %s, kept since %s", kept.run_id, kept.kept_at)
        except (AgentError, OSError) as error:
            _log.warning("kept work could not be looked through: %s", error)
        now = datetime.now(UTC)
        days = self.settings.record_retention_days
        try:
            trimmed = await self.store.trim(
                now - timedelta(days=self.settings.journal_retention_days),
                records_older_than=now - timedelta(days=days) if days is not None else None,
            )
        except StoreError as error:
            _log.warning("the store could not be trimmed: %s", error)
        else:
            _log.debug("trimmed the store: %s", trimmed)

    async def _go_on(self, first_seconds: float, every_seconds: float) -> None:
        await asyncio.sleep(first_seconds)
        while True:
            await self.once()
            await asyncio.sleep(every_seconds)
