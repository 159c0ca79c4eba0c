"""Delivers to the runs of this host that they are cancelled, given up or deleted in Prefect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import Abort, ObjectNotFound
from prefect.states import Cancelled, Cancelling

from deployments.prefect_client.calls import OPERATOR_SECONDS, PrefectUnavailable, calling_prefect
from deployments.prefect_client.engine_changes import guarding_end
from deployments.prefect_client.flow_runs import count_runs, in_state, read_runs
from deployments.prefect_client.watch import Watches
from tasks.agent_run.outcome import CANCELLED

LOOK_SECONDS = 1.0
"""Prefect's event of a cancellation may be lost; its states are read this often instead."""

FRESH_SECONDS = 5.0
"""A run that ends looks for itself if the last good look is older: while Prefect was away it may have been given up."""

DELETED = "deleted in Prefect"

_PAUSES_SECONDS = (0.2, 1.0, 3.0, 10.0, 30.0)
_ENDING = in_state(StateType.CANCELLING, StateType.CANCELLED, StateType.CRASHED, StateType.FAILED, StateType.COMPLETED)
_GOING_ON = in_state(StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED)

_log = logging.getLogger(__name__)


@dataclass
class _LocalRun:
    flow_run: FlowRun
    flow: str
    cancel: Callable[[], None]
    given_up: str | None = None
    """The end that the run has in Prefect, although it runs here."""
    was_missing: bool = False


class CancellationListener:
    """The running runs of this host, each with the function that cancels it. One per host."""

    def __init__(self, client: PrefectClient, watches: Watches) -> None:
        self._client = client
        self._runs: dict[UUID, _LocalRun] = {}
        self._watch = watches.add("cancellations", self._look, lambda: LOOK_SECONDS)

    @contextmanager
    def listening(self, flow_run: FlowRun, flow: str, cancel: Callable[[], None]) -> Iterator[None]:
        """While this is open, `cancel` is called when the run of `flow` is cancelled or has an end, maybe repeatedly.

        The flow in here cannot change an end that the run has in Prefect: its engine raises Abort instead.
        """
        run = self._runs[flow_run.id] = _LocalRun(flow_run, flow, cancel)
        try:
            with guarding_end(lambda: self._check_end(run)):
                yield
        finally:
            del self._runs[flow_run.id]

    def all_running(self) -> list[tuple[FlowRun, str]]:
        """Return the runs of this host, each with the name of its flow."""
        return [(run.flow_run, run.flow) for run in self._runs.values() if run.given_up is None]

    def running(self, run_id: UUID) -> FlowRun | None:
        """Return the run as it was at its start, if it runs here."""
        run = self._runs.get(run_id)
        return run.flow_run if run is not None else None

    async def cancel(self, run_id: UUID) -> None:
        """Cancel a run that is not over, on any host; one that was deleted, on this. Raises PrefectUnavailable."""
        async with calling_prefect():
            try:
                await self._client.set_flow_run_state(run_id, Cancelling(message=CANCELLED))
            except ObjectNotFound:
                _log.info("run %s is not in Prefect any more; it is cancelled here", run_id)
        self.cancel_local(run_id)

    def cancel_local(self, run_id: UUID) -> bool:
        """Cancel the run if it runs here, without a call to Prefect; False if it does not."""
        run = self._runs.get(run_id)
        if run is not None:
            run.cancel()
        return run is not None

    def cancel_all(self) -> frozenset[UUID]:
        """Cancel all runs of this host, without a call to Prefect, and return them."""
        for run in self._runs.values():
            run.cancel()
        return frozenset(self._runs)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, end the runs of this host that are cancelled, ended or deleted in Prefect."""
        async with self._watch.repeating():
            yield

    async def look(self) -> None:
        """End the runs of this host that Prefect has as cancelled, ended or deleted. Raises PrefectUnavailable."""
        await self._watch.look()

    async def finish(self, run_id: UUID, message: str | None = None) -> None:
        """Set a run whose agent has ended to Cancelled. Raises PrefectUnavailable after a minute of trying."""
        for pause_seconds in _PAUSES_SECONDS:
            try:
                await self._finish(run_id, message)
                return
            except PrefectUnavailable as error:
                _log.warning("run %s cannot be set to Cancelled yet: %s", run_id, error)
                await asyncio.sleep(pause_seconds)
        await self._finish(run_id, message)

    async def _finish(self, run_id: UUID, message: str | None) -> None:
        async with calling_prefect(OPERATOR_SECONDS):
            try:
                await self._client.set_flow_run_state(run_id, Cancelled(message=message or CANCELLED))
            except ObjectNotFound:
                _log.info("run %s was deleted in Prefect while it was cancelled", run_id)

    async def _look(self) -> None:
        ours = list(self._runs)
        # one cheap count as a rule: a run has its whole request with it
        if not ours or (going_on := await count_runs(self._client, ours, _GOING_ON, OPERATOR_SECONDS)) == len(ours):
            self._find_missing(frozenset())
            return
        ending = await read_runs(self._client, ours, _ENDING, OPERATOR_SECONDS)
        for flow_run in ending:
            self._end(flow_run)
        if going_on + len(ending) < len(ours):
            known = {flow_run.id for flow_run in await read_runs(self._client, ours, None, OPERATOR_SECONDS)}
            self._find_missing(frozenset(ours) - known)
        else:
            self._find_missing(frozenset())

    def _end(self, flow_run: FlowRun) -> None:
        run, state = self._runs.get(flow_run.id), flow_run.state
        if run is None or state is None:
            return
        if state.is_final():
            run.given_up = f"{state.name}: {state.message}" if state.message else str(state.name)
        run.cancel()

    def _find_missing(self, missing: frozenset[UUID]) -> None:
        for run_id, run in self._runs.items():
            if run_id not in missing:
                run.was_missing = False
            elif run.was_missing:  # seen twice: one wrong answer must not end paid work
                run.given_up = DELETED
                run.cancel()
            else:
                run.was_missing = True

    async def _check_end(self, run: _LocalRun) -> None:
        """Raise Abort if the run has its end already."""
        if self._watch.age_seconds > FRESH_SECONDS:
            try:
                await self.look()
                if run.was_missing:
                    await self.look()
            except Exception as error:  # the engine's own call follows, and says the same if Prefect is away
                _log.debug("cannot read whether run %s was given up: %s", run.flow_run.id, error)
        if run.given_up is not None:
            raise Abort(run.given_up)
