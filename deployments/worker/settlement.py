"""Sets a final state for runs that a stopped host left behind."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed

from agent.domain.events import Ended
from agent.domain.result import AgentResult, Outcome
from deployments.host.host import Host
from deployments.prefect_client.calls import BACKGROUND_SECONDS, PAGE_RUNS, calling_prefect
from deployments.prefect_client.flow_runs import in_state
from deployments.telemetry.logs import about_run
from deployments.worker.lost_runs import find_lost
from deployments.worker.resumption import Resumptions
from store.journal.entry import Entry
from tasks.agent_run.outcome import CANCELLED, status_of
from tasks.stored_outcome import load_outcome, summarize

DIED = "the host died while the agent was running"

_LOOK_SECONDS = 10.0
_GRACE = timedelta(seconds=30)
"""A younger state may be that of a run which this host is about to start or to finish."""

_PAGE_ENTRIES = 500
_PENDING = FlowRunFilter(state=in_state(StateType.PENDING))

_log = logging.getLogger(__name__)


class Settlement:
    """Settles runs that have a record or a claim of this host and do not run in it. One per host.

    It never touches a run of another host that is alive. An automation ends the runs of hosts that do not come back;
    `find_lost` finds those that the automation cannot see.
    """

    def __init__(self, host: Host, resumptions: Resumptions) -> None:
        self._host = host
        self._resumptions = resumptions
        self._watch = host.watches.add("left_runs", self._look, lambda: _LOOK_SECONDS)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Settle what an earlier host process left behind; while this is open, also what is left behind from now on.

        Raises PrefectUnavailable or StoreUnavailable at its start.
        """
        await self._resume()
        settled = await self.settle(timedelta())
        if settled:
            _log.warning("settled %d runs that an earlier host process left behind", settled)
        await self._host.runtime.clear({str(run_id) for run_id in self._resumptions.waiting})
        async with self._watch.repeating():
            yield

    async def settle(self, grace: timedelta = _GRACE) -> int:
        """Settle the runs whose state is older than `grace` and return their number. Raises PrefectUnavailable."""
        return await self._settle_all(lambda: self._left(grace))

    async def settle_lost(self, after: timedelta) -> int:
        """Settle what hosts that did not come back left and return its number. Raises PrefectUnavailable."""
        return await self._settle_all(lambda: find_lost(self._host, after))

    async def _settle_all(self, find: Callable[[], Awaitable[list[FlowRun]]]) -> int:
        if not await find():
            return 0
        # read again under the lock: what one host gave back, another may have taken by now
        async with self._host.store.locks.acquire("settling"):
            spared = self._host.records.running | self._resumptions.waiting
            left = {run.id: run for run in await find() if run.id not in spared}
            settled = 0
            for run in left.values():
                with about_run(run.id):
                    settled += await self._settle(run)
            return settled

    async def _left(self, grace: timedelta) -> list[FlowRun]:
        before = datetime.now(UTC) - grace
        runs = [*await self._recorded(), *await self._claimed()]
        return [run for run in runs if run.state is None or run.state.timestamp <= before]

    async def _resume(self) -> None:
        for flow_run in await self._recorded():
            await self._resumptions.resume(flow_run)

    async def _look(self) -> None:
        await self.settle()
        if (after := self._host.settings.lost_after) is not None:
            await self.settle_lost(after)

    async def _recorded(self) -> list[FlowRun]:
        """Return the runs with a record in this host's state directory."""
        found = []
        for run_id in self._host.records.left_behind():
            async with calling_prefect(BACKGROUND_SECONDS):
                try:
                    found.append(await self._host.prefect.read_flow_run(run_id))
                except ObjectNotFound:
                    self._host.records.forget(run_id)
        return found

    async def _claimed(self) -> list[FlowRun]:
        """Return the runs that this host took, and died before it wrote their records."""
        async with calling_prefect(BACKGROUND_SECONDS):
            runs = await self._host.prefect.read_flow_runs(flow_run_filter=_PENDING, limit=PAGE_RUNS)
        return [run for run in runs if run.state is not None and self._host.records.is_own_claim(run.state.message)]

    async def _settle(self, flow_run: FlowRun) -> bool:
        """Set the state that fits and remove the record; False if the run had a final state already."""
        state = flow_run.state
        final = state is None or state.is_final() or state.is_scheduled()
        if not final:
            ending = await self._ending(flow_run)
            async with calling_prefect(BACKGROUND_SECONDS):
                await self._host.prefect.set_flow_run_state(flow_run.id, ending, force=True)
            if ending.is_final():
                self._host.metrics.settled.inc()
            _log.warning("run %s was left %s: it is %s now", flow_run.id, flow_run.state_name, ending.name)
        self._host.records.forget(flow_run.id)
        return not final

    async def _ending(self, flow_run: FlowRun) -> State[Any]:
        never_started = flow_run.start_time is None
        if flow_run.state_type == StateType.PENDING and never_started and flow_run.deployment_id is not None:
            return AwaitingRetry(message="the host died before it started this run")
        kept = await load_outcome(self._host.store, flow_run.id)
        wanted = flow_run.state_type == StateType.CANCELLING
        outcome = await self._salvage(flow_run.id, kept, CANCELLED if wanted else DIED)
        return Cancelled(message=CANCELLED) if wanted else _state(outcome, concluded=kept is not None)

    async def _salvage(self, run_id: UUID, kept: Outcome | None, error: str) -> Outcome:
        """Return the stored outcome, or store one made from the journal; end the journal if it is open."""
        journal = self._host.store.journal
        entries: list[Entry] = []
        while page := await journal.read(run_id, entries[-1].seq if entries else 0, _PAGE_ENTRIES):
            entries += page
        outcome = kept or Outcome(result=_said_so_far(entries, error), error=error)
        if kept is None:
            await self._host.store.outcomes.save(run_id, outcome.model_dump_json(), summarize(outcome))
        if not any(entry.type == "ended" for entry in entries):
            ended = Ended(status="error" if kept is None else status_of(outcome), error=outcome.error)
            journal.append(run_id, ended.type, ended.model_dump_json())
        return outcome


def _state(outcome: Outcome, *, concluded: bool) -> State[Any]:
    """Return the final state that fits `outcome`; Crashed for a run that had not concluded."""
    if not concluded:
        return Crashed(message=outcome.error)
    if outcome.error is None:
        return Completed(message="its host died after it had stored the result")
    if outcome.error == CANCELLED:
        return Cancelled(message=CANCELLED)
    timed_out = outcome.result is not None and outcome.result.ending in ("timeout", "stalled")
    return Failed(name="TimedOut" if timed_out else "Failed", message=outcome.error)


def _said_so_far(entries: list[Entry], error: str) -> AgentResult | None:
    """Return the result as far as the journal tells it; None if the agent had not started."""
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
