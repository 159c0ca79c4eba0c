"""The automations on a real Prefect server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prefect.client.orchestration import PrefectClient

from deployments.host.heartbeats import Heartbeats
from deployments.prefect_client.watch import Watches
from deployments.registration.automations import end_lost


async def test_the_runs_of_a_host_that_does_not_come_back_are_ended(service: Any) -> None:
    address, password = f"{service.stage.prefect_url}/api", service.stage.prefect_auth
    short = end_lost(timedelta(seconds=10)).model_copy(update={"name": uuid4().hex})
    async with PrefectClient(api=address, auth_string=password) as client, service.prefect() as rest:
        # this service starts its host again itself, and needs none
        assert not await client.read_automations_by_name(end_lost().name)
        automation_id = await client.create_automation(short)
        try:
            # one died before its first heartbeat, and one after
            unheard, lost, living = [await running(rest, "agent_run") for _ in range(3)]
            at_work = await client.read_flow_run(UUID(living))
            foreign = await running(rest, "of somebody else")
            await heartbeat(rest, lost)
            await heartbeat(rest, foreign, "of somebody else")
            async with asyncio.timeout(120):
                while {await state_type(rest, run_id) for run_id in (lost, unheard)} != {"CRASHED"}:
                    # the host's own, over HTTP: websockets may be refused on the way
                    await Heartbeats(client, Watches(), lambda: [(at_work, "agent_run")]).send()
                    await asyncio.sleep(1)
            found = (await rest.get(f"/flow_runs/{lost}")).json()["state"]
            assert found["message"] == "its host died and has not come back"
            assert {await state_type(rest, run_id) for run_id in (living, foreign)} == {"RUNNING"}
        finally:
            await client.delete_automation(automation_id)


async def running(rest: Any, flow: str) -> str:
    """A run that Prefect takes for one that is at work, and that no host knows."""
    flow_id = (await rest.post("/flows/", json={"name": flow})).json()["id"]
    run_id = str((await rest.post("/flow_runs/", json={"flow_id": flow_id})).json()["id"])
    for type, name in (("PENDING", "Pending"), ("RUNNING", "Running")):
        state = {"state": {"type": type, "name": name}}
        (await rest.post(f"/flow_runs/{run_id}/set_state", json=state)).raise_for_status()
    return run_id


async def state_type(rest: Any, run_id: str) -> str:
    return str((await rest.get(f"/flow_runs/{run_id}")).json()["state_type"])


async def heartbeat(rest: Any, run_id: str, flow: str = "agent_run") -> None:
    """What Prefect's engine says of a run that it works on."""
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        "related": [
            {"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "flow", "prefect.resource.name": flow}
        ],
    }
    (await rest.post("/events", json=[event])).raise_for_status()
