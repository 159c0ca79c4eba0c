"""Triages as a kind of run for a worker: no slot, a pool of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow_async

from agent.system.concurrency import run_to_completion
from agent.system.files import remove
from deployments.host.host import Host
from deployments.host.run_metadata import RunMetadata, with_metadata
from deployments.host.slot_use import SlotUse
from deployments.pools import TRIAGE
from deployments.telemetry.logs import about_run
from deployments.triage.agent_runs import TriageAgents
from deployments.worker.run_handlers import RunHandler
from flows.triage import triage
from tasks.triage.context import TriageContext, triaging
from tasks.triage.models import TriageRequest

_log = logging.getLogger(__name__)

# Prefect types an async flow by its coroutine, and its engine by what that gives
_FLOW = cast("Flow[[TriageRequest], Any]", triage)


class TriageHandler(RunHandler[None]):
    """Triages, at most TRIAGE_CAPACITY at once; they take no slot, for they wait for runs that need one."""

    pool = TRIAGE
    flow_name = "triage"
    ends_with_its_host = True

    def __init__(self, host: Host) -> None:
        super().__init__(host, host.triages_queued)
        self._places = asyncio.Semaphore(host.settings.triage_capacity)
        self._running: list[TriageContext] = []
        # a host that was killed had no time to clear these away
        with contextlib.suppress(OSError):
            for left in ("checkouts", "files"):
                remove(host.runtime.settings.state_dir / "triage" / left)

    async def acquire(self) -> SlotUse[None]:
        """Return a place for one more triage."""
        await self._places.acquire()
        return SlotUse(None, lambda _: self._places.release())

    def suspend_all(self) -> None:
        """Leave the triages to be taken over by another host, or by this one later."""
        for context in self._running:
            context.suspend()

    async def execute(self, flow_run: FlowRun, slot: SlotUse[None]) -> None:
        """Execute `triage` to its end; a cancellation ends it as Cancelled."""
        context = self.context(flow_run)
        self._running.append(context)
        try:
            async with with_metadata(self.host.prefect, flow_run, RunMetadata.of_triage(triage_name(flow_run))):
                await self._execute(flow_run, context)
        except Abort as error:
            _log.warning("triage %s is ended in Prefect: %s", flow_run.name, error)
        finally:
            self._running.remove(context)
            with contextlib.suppress(OSError):
                await run_to_completion(asyncio.to_thread(remove, context.files))

    async def _execute(self, flow_run: FlowRun, context: TriageContext) -> None:
        host = self.host
        with (
            about_run(flow_run.id),
            host.records.recorded(flow_run.id),
            host.cancellations.listening(flow_run, triage.name, context.cancellation.ask),
            triaging(context),
        ):
            state = await run_flow_async(_FLOW, flow_run=flow_run, parameters=flow_run.parameters, return_type="state")
            assert isinstance(state, State)
            if state.is_cancelling():
                await host.cancellations.finish(flow_run.id, state.message)

    def context(self, flow_run: FlowRun) -> TriageContext:
        """Return the context of the tasks of `flow_run`."""
        return TriageContext(
            run_id=flow_run.id,
            started_at=datetime.now(UTC),
            runtime=self.host.runtime,
            store=self.host.store,
            agents=TriageAgents(self.host, triage_name(flow_run)),
            secrets_dir=self.host.secrets_dir,
            has_sandbox=self.host.runtime.sandbox.probe.bubblewrap is not None,
            lease=timedelta(seconds=self.host.settings.triage_lease_seconds),
        )


def triage_name(flow_run: FlowRun) -> str:
    """Return the name of the triage in its request; empty if the parameters hold no request."""
    request = flow_run.parameters.get("request")
    return str(request.get("name", "")) if isinstance(request, dict) else ""
