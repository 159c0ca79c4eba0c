"""The Prefect automations of the service."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, PauseDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deployments.settings import LOST_AFTER
from deployments.worker.failing_schedules import FAILING, STREAK
from flows.agent_run import agent_run
from flows.triage import triage

PAUSE_FAILING = AutomationCore(
    name="Pause a schedule that keeps failing",
    description=f"The last {STREAK} runs that a schedule has made failed: its deployment is paused. "
    "Fix the cause, then resume the deployment.",
    trigger=EventTrigger(
        expect={FAILING},
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    ),
    actions=[PauseDeployment(source="inferred")],
)


def end_lost(within: timedelta = LOST_AFTER) -> AutomationCore:
    """Return the automation that sets runs without an event for `within` to Crashed: their host has not come back.

    A host that comes back settles its own runs. Prefect's engine sends a heartbeat of each run every 30 seconds; for a
    run whose host died before the first, the Running event of the server counts. Flows of others are left alone.
    """
    return AutomationCore(
        name="End the runs of a host that does not come back",
        description=f"Nothing was heard of the run for {within}, not even a heartbeat: it has crashed.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat", "prefect.flow-run.Running"},
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": ["flow"], "prefect.resource.name": [agent_run.name, triage.name]}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="its host died and has not come back")],
    )


async def create_automations(client: PrefectClient, lost_after: timedelta | None) -> None:
    """Create the missing automations; one that exists stays as it is, even if it is switched off."""
    for automation in (PAUSE_FAILING, *([end_lost(lost_after)] if lost_after else [])):
        if not await client.read_automations_by_name(automation.name):
            await client.create_automation(automation)
