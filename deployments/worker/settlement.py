"""Gives an end to the runs that a host has left behind, and to those whose end Prefect did not hear."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed

from agent.domain.events import Ended
from agent.domain.result import AgentResult, Outcome
from agent.system.concurrency import background_task
from deployments.host.host import Host
from deployments.prefect_client.calls import PrefectUnavailable, calling_prefect
from deployments.telemetry.logs import about_run
from deployments.worker.lost_runs import find_lost
from deployments.worker.resumption import Resumptions
from store.errors import StoreUnavailable
from store.journal.entry import Entry
from tasks.agent_run.outcome import CANCELLED, status_of
from tasks.agent_run.publish import summarize

DIED = "the host died while the agent was at work"

_LOOK_SECONDS = 10.0
_GRACE = timedelta(seconds=30)
_PATIENCE_SECONDS = 30.0
_AT_ONCE = 200
_PAGE = 500
_PENDING = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING])))

_log = logging.getLogger(__name__)


class Settlement:
    """Settles what has this host's note or claim, and is not at work in it: never another living host's runs.

    Hosts that do not come back have their runs ended by an automation; `find_lost` has those that it cannot see.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Settle what an earlier host has left, first of all; then, while this is open, what is left from now on.

        Raises PrefectUnavailable or StoreUnavailable at its start.
        """
        await self._resume()
        settled = await self.settle(timedelta())
        if settled:
            _log.warning("settled %d runs that an earlier host has left behind", settled)
        await self._host.runtime.clear({str(flow_run.id) for flow_run, _ in self._host.carried})
        async with background_task(self._watch()):
            yield

    async def settle(self, grace: timedelta = _GRACE) -> int:
        """Settle the runs whose state is older than `grace`, and count them; raises PrefectUnavailable."""
        return await self._settle_all(lambda: self._left(grace))

    async def settle_lost(self, after: timedelta) -> int:
        """Settle what hosts that do not come back have left, and count it; raises PrefectUnavailable."""
        return await self._settle_all(lambda: find_lost(self._host, after))

    async def _settle_all(self, find: Callable[[], Awaitable[list[FlowRun]]]) -> int:
        if not await find():
            return 0
        # looked at again in turn: what one host has given back, another may have taken by now
        async with self._host.store.turns.turn("settling"):
            spared = self._host.in_flight.at_work | {run.id for run, _ in self._host.carried}
            left = {run.id: run for run in await find() if run.id not in spared}
            settled = 0
            for run in left.values():
                with about_run(run.id):
                    settled += await self._settle(run)
            return settled

    async def _left(self, grace: timedelta) -> list[FlowRun]:
        before = datetime.now(UTC) - grace
        runs = [*await self._noted(), *await self._claimed()]
        return [run for run in runs if run.state is None or run.state.timestamp <= before]

    async def _resume(self) -> None:
        resuming = Resumptions(self._host)
        for flow_run in await self._noted():
            await resuming.resume(flow_run)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.settle()
                if (after := self._host.settings.lost_after) is not None:
                    await self.settle_lost(after)
            except (PrefectUnavailable, StoreUnavailable) as error:
                _log.warning("cannot settle what was left behind: %s", error)

    async def _noted(self) -> list[FlowRun]:
        """The runs with a note in this host's state directory."""
        found = []
        for run_id in self._host.in_flight.left():
            async with calling_prefect(_PATIENCE_SECONDS):
                try:
                    found.append(await self._host.prefect.read_flow_run(run_id))
                except ObjectNotFound:
                    self._host.in_flight.forget(run_id)
        return found

    async def _claimed(self) -> list[FlowRun]:
        """The runs that this host has taken, and that it had no time to write a note of."""
        async with calling_prefect(_PATIENCE_SECONDS):
            runs = await self._host.prefect.read_flow_runs(flow_run_filter=_PENDING, limit=_AT_ONCE)
        return [run for run in runs if run.state is not None and run.state.message == self._host.in_flight.claim]

    async def _settle(self, flow_run: FlowRun) -> bool:
        """Give the run the state it deserves, and drop its note; False if it had an end already."""
        state = flow_run.state
        final = state is None or state.is_final() or state.is_scheduled()
        if not final:
            ending = await self._ending(flow_run)
            async with calling_prefect(_PATIENCE_SECONDS):
                await self._host.prefect.set_flow_run_state(flow_run.id, ending, force=True)
            if ending.is_final():
                self._host.metrics.settled.inc()
            _log.warning("run %s was left %s: it is %s now", flow_run.id, flow_run.state_name, ending.name)
        self._host.in_flight.forget(flow_run.id)
        return not final

    async def _ending(self, flow_run: FlowRun) -> State[Any]:
        never_started = flow_run.start_time is None
        if flow_run.state_type == StateType.PENDING and never_started and flow_run.deployment_id is not None:
            return AwaitingRetry(message="the host died before it started this run")
        kept = await self._host.find_outcome(flow_run.id)
        wanted = flow_run.state_type == StateType.CANCELLING
        outcome = await self._salvage(flow_run.id, kept, CANCELLED if wanted else DIED)
        return Cancelled(message=CANCELLED) if wanted else _state(outcome, concluded=kept is not None)

    async def _salvage(self, run_id: UUID, kept: Outcome | None, error: str) -> Outcome:
        """What was kept of the run, or else what its journal has, which is kept; the journal gets its last line."""
        journal = self._host.store.journal
        entries: list[Entry] = []
        while page := await journal.read(run_id, entries[-1].seq if entries else 0, _PAGE):
            entries += page
        outcome = kept or Outcome(result=_said_so_far(entries, error), error=error)
        if kept is None:
            await self._host.store.outcomes.save(run_id, outcome.model_dump_json(), summarize(outcome))
        if not any(entry.type == "ended" for entry in entries):
            ended = Ended(status="error" if kept is None else status_of(outcome), error=outcome.error)
            journal.append(run_id, ended.type, ended.model_dump_json())
        return outcome


def _state(outcome: Outcome, *, concluded: bool) -> State[Any]:
    """The end of a run that came to `outcome`; one that had not concluded has crashed."""
    if not concluded:
        return Crashed(message=outcome.error)
    if outcome.error is None:
        return Completed(message="its host died once its result was kept")
    if outcome.error == CANCELLED:
        return Cancelled(message=CANCELLED)
    timed_out = outcome.result is not None and outcome.result.ending in ("timeout", "stalled")
    return Failed(name="TimedOut" if timed_out else "Failed", message=outcome.error)


def _said_so_far(entries: list[Entry], error: str) -> AgentResult | None:
    """What the agent had given when it was cut off, if it had started at all."""
    events = [(entry, json.loads(entry.body)) for entry in entries]
    started = next(((entry, event) for entry, event in events if entry.type == "started"), None)
    if started is None:
        return None
    said = [event["text"] for entry, event in events if entry.type == "said"]
    return AgentResult(
        started_at=started[0].at,
        finished_at=entries[-1].at,
        exit_code=None,
        output=[],
        stderr="",
        text=said[-1] if said else None,
        session_id=started[1]["session_id"],
        model=started[1]["model"],
        error=error,
    )
