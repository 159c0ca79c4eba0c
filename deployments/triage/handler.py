"""Triages: they wait for agents, so they take no slot, and have a pool of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow_async

from agent.system.files import remove
from deployments.host.host import Host
from deployments.host.run_metadata import RunMetadata, marked
from deployments.pools import TRIAGE
from deployments.telemetry.logs import about_run
from deployments.triage.agent_runs import TriageAgents
from deployments.worker.run_handlers import RunHandler
from flows.triage import triage
from tasks.triage.context import TriageContext, triaging
from tasks.triage.models import TriageRequest

_log = logging.getLogger(__name__)

# Prefect types an async flow by its coroutine, and its engine by what that gives.
_FLOW = cast("Flow[[TriageRequest], Any]", triage)


class TriageHandler(RunHandler[None]):
    """Triages, as many at once as TRIAGE_CAPACITY says."""

    pool = TRIAGE
    flow_name = "triage"
    ends_with_its_host = True

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._seats = asyncio.Semaphore(host.settings.triage_capacity)
        self._running: list[TriageContext] = []
        # a host that was killed had no time to clear these away
        with contextlib.suppress(OSError):
            remove(host.runtime.settings.state_dir / "triage" / "checkouts")

    async def take(self) -> None:
        """Room for one more."""
        await self._seats.acquire()

    def give_back(self, seat: None) -> None:
        """There is room again."""
        self._seats.release()

    def expect(self, nudge: Callable[[], None]) -> None:
        """Triages are queued by the host, too."""
        self.host.triage_nudge = nudge

    def cancel(self, run_id: UUID) -> bool:
        """Have the triage end its agents, or, where the host stops, leave them to whoever carries it on."""
        return self.host.cancelling.tell(run_id)

    def break_off(self) -> None:
        """The host stops: its triages are carried on elsewhere, or here later."""
        for context in self._running:
            context.stopping = True

    async def execute(self, flow_run: FlowRun, seat: None) -> None:
        """Run `triage` to its end here; a cancellation ends it as Cancelled."""
        context = self.context(flow_run)
        self._running.append(context)
        try:
            async with marked(self.host.prefect, flow_run, RunMetadata.of_triage(triage_name(flow_run))):
                await self._execute(flow_run, context)
        except Abort as error:
            _log.warning("triage %s is ended in Prefect: %s", flow_run.name, error)
        finally:
            self._running.remove(context)
            self.give_back(seat)

    async def _execute(self, flow_run: FlowRun, context: TriageContext) -> None:
        with (
            about_run(flow_run.id),
            self.host.in_flight.noted(flow_run.id),
            self.host.cancelling.heard(flow_run.id, context.cancellation.ask),
            triaging(context),
        ):
            state = await run_flow_async(_FLOW, flow_run=flow_run, parameters=flow_run.parameters, return_type="state")
            assert isinstance(state, State)
            if state.is_cancelling():
                await self.host.cancelling.finish(flow_run.id, state.message)

    def context(self, flow_run: FlowRun) -> TriageContext:
        """What the tasks of `flow_run` work with."""
        return TriageContext(
            run_id=flow_run.id,
            started_at=datetime.now(UTC),
            runtime=self.host.runtime,
            store=self.host.store,
            agents=TriageAgents(self.host, triage_name(flow_run)),
            secrets_dir=self.host.secrets_dir,
            lease=timedelta(seconds=self.host.settings.triage_lease_seconds),
        )


def triage_name(flow_run: FlowRun) -> str:
    """What the triage is called by its request; nothing, if that is none."""
    request = flow_run.parameters.get("request")
    return str(request.get("name", "")) if isinstance(request, dict) else ""
