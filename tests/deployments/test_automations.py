"""The automations on a real Prefect server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from prefect.client.orchestration import PrefectClient

from deployments.automations import end_lost


async def test_the_runs_of_a_host_that_does_not_come_back_are_ended(service: Any) -> None:
    address, password = f"{service.stage.prefect_url}/api", service.stage.prefect_auth
    short = end_lost(timedelta(seconds=10)).model_copy(update={"name": uuid4().hex})
    async with PrefectClient(api=address, auth_string=password) as client, service.prefect() as rest:
        # this service starts its host again itself, and needs none
        assert not await client.read_automations_by_name(end_lost().name)
        automation_id = await client.create_automation(short)
        try:
            lost, living = [await running(rest) for _ in range(2)]
            await heartbeat(rest, lost)
            async with asyncio.timeout(120):
                while (await rest.get(f"/flow_runs/{lost}")).json()["state_type"] != "CRASHED":
                    await heartbeat(rest, living)
                    await asyncio.sleep(1)
            found = (await rest.get(f"/flow_runs/{lost}")).json()["state"]
            assert found["message"] == "its host died and has not come back"
            assert (await rest.get(f"/flow_runs/{living}")).json()["state_type"] == "RUNNING"
        finally:
            await client.delete_automation(automation_id)


async def running(rest: Any) -> str:
    """A run that Prefect takes for one that is at work, and that no host knows."""
    flow_id = (await rest.post("/flows/", json={"name": "lost"})).json()["id"]
    body = {"flow_id": flow_id, "state": {"type": "RUNNING", "name": "Running"}}
    return str((await rest.post("/flow_runs/", json=body)).json()["id"])


async def heartbeat(rest: Any, run_id: str) -> None:
    """What Prefect's engine says of a run that it works on."""
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
    }
    (await rest.post("/events", json=[event])).raise_for_status()
