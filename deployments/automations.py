"""The automations that the service needs in Prefect, where they can be seen, and switched off."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import PrefectClient
from prefect.events.actions import PauseDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from deployments.streak import FAILING, STREAK

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

ALL = [PAUSE_FAILING]


async def create_automations(client: PrefectClient) -> None:
    """Make sure that they are there; one that is stays as it is, switched off as well."""
    for automation in ALL:
        if not await client.read_automations_by_name(automation.name):
            await client.create_automation(automation)
