"""Run source: a run that another request or host started."""

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
from tasks.stored_outcome import load_outcome

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_FIRST_POLL_SECONDS = 0.2
_LAST_POLL_SECONDS = 2.0
_POLL_GROWTH = 1.3
_EXTRA_SECONDS = 300.0
"""Beyond the run's time limit: its workspace is prepared before the agent starts, its report is written after it."""


@dataclass(frozen=True)
class FollowedRun:
    """Reads the events of a run from its journal, and its outcome from the store; made for each keyed request."""

    host: Host
    timeout_seconds: int

    async def follow(self, run_id: UUID, transcript: RunTranscript) -> Outcome:
        """Return the run's outcome, now or at its end; a cancelled call leaves the run. Raises ApiError, StoreError."""
        transcript.start(run_id)
        outcome = await load_outcome(self.host.store, run_id)
        if outcome is not None:
            return outcome
        async with Presence(self.host.store.journal, run_id).announce():
            reading = asyncio.create_task(self._read_journal(run_id, transcript))
            try:
                return await self._wait(run_id)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read_journal(self, run_id: UUID, transcript: RunTranscript) -> None:
        async with aclosing(self.host.store.journal.follow(run_id)) as entries:
            async for entry in entries:
                with suppress(ValidationError):  # the journal has entries that are no events
                    transcript.on_event(_EVENT.validate_json(entry.body))

    async def _wait(self, run_id: UUID) -> Outcome:
        deadline = time.monotonic() + self.timeout_seconds + _EXTRA_SECONDS
        interval = _FIRST_POLL_SECONDS
        while time.monotonic() < deadline:
            flow_run = await self.host.queue.find(run_id)
            # read in this order: an outcome is stored before its run's state becomes final
            outcome = await load_outcome(self.host.store, run_id)
            if outcome is not None:
                return outcome
            if flow_run is None or (flow_run.state is not None and flow_run.state.is_final()):
                break
            await asyncio.sleep(interval)
            interval = min(interval * _POLL_GROWTH, _LAST_POLL_SECONDS)
        cause = "the run that has this Idempotency-Key ended without an answer; use a new key to start another"
        headers = {"x-flow-run-id": str(run_id), "x-should-retry": "false"}
        raise unavailable(cause, headers=headers)
