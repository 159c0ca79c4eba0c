"""The automations that the service needs in Prefect, where they can be seen, and switched off."""

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
    "Mend what is wrong, then resume the deployment.",
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
    """Ends as Crashed the runs of which nothing was heard for that long: their host has not come back.

    A host that does settles its own runs. Prefect's engine sends a heartbeat of each run every 30 seconds; of one whose
    host died before the first, the server itself has said that it is Running. Other people's flows are left alone.
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
    """Make sure that they are there; one that is stays as it is, switched off as well."""
    for automation in (PAUSE_FAILING, *([end_lost(lost_after)] if lost_after else [])):
        if not await client.read_automations_by_name(automation.name):
            await client.create_automation(automation)
