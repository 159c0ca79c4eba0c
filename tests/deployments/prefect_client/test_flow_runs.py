"""A flow that nobody has registered is none, and no error."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import PrefectClient

from deployments.prefect_client.flow_runs import find_flow_id


async def test_a_flow_has_an_id_once_it_is_registered(service: Any) -> None:
    async with PrefectClient(f"{service.stage.prefect_url}/api", auth_string=service.stage.prefect_auth) as client:
        assert await find_flow_id(client, "agent_run") is not None
        assert await find_flow_id(client, "nobodys") is None
