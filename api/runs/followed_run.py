"""A run that another request has started, maybe at another host, maybe long ago."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from agent.domain.events import Event
from agent.domain.result import Outcome
from api.http.errors import unavailable
from api.runs.presence import Presence
from api.runs.transcript import RunTranscript
from deployments.host.host import Host

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_SOONEST_SECONDS = 0.2
_LATEST_SECONDS = 2.0
_GROWTH = 1.3
_SPARE_SECONDS = 300.0
"""Beyond its time limit, for what a run does before and after its agent."""


@dataclass(frozen=True)
class FollowedRun:
    """Hears of a run from its journal, and of its end from the store."""

    host: Host
    timeout_seconds: int

    async def follow(self, run_id: UUID, transcript: RunTranscript) -> Outcome:
        """What the run came to, or comes to; whoever started it ends it. Raises ApiError, StoreError."""
        transcript.begin(run_id)
        outcome = await self.host.find_outcome(run_id)
        if outcome is not None:
            return outcome
        async with Presence(self.host.store.journal, run_id).announced():
            listening = asyncio.create_task(self._listen(run_id, transcript))
            try:
                return await self._wait(run_id)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, run_id: UUID, transcript: RunTranscript) -> None:
        async with aclosing(self.host.store.journal.follow(run_id)) as entries:
            async for entry in entries:
                with suppress(ValidationError):  # the journal has entries that are no events
                    transcript.hear(_EVENT.validate_json(entry.body))

    async def _wait(self, run_id: UUID) -> Outcome:
        deadline = time.monotonic() + self.timeout_seconds + _SPARE_SECONDS
        interval = _SOONEST_SECONDS
        while time.monotonic() < deadline:
            flow_run = await self.host.find_run(run_id)
            # asked in this order: an outcome is kept before its run's state becomes final
            outcome = await self.host.find_outcome(run_id)
            if outcome is not None:
                return outcome
            if flow_run is None or (flow_run.state is not None and flow_run.state.is_final()):
                break
            await asyncio.sleep(interval)
            interval = min(interval * _GROWTH, _LATEST_SECONDS)
        cause = "the run that has this Idempotency-Key ended without an answer; use a new key to start another"
        headers = {"x-flow-run-id": str(run_id), "x-should-retry": "false"}
        raise unavailable(cause, headers=headers)
