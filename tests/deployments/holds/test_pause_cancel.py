"""`pause` with `cancel` ends all runs in progress, however many there are, triages first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.filters import FlowFilter
from prefect.client.schemas.objects import FlowRun

from deployments.holds.pause import PauseSwitch
from deployments.prefect_client.watch import Watches

pytestmark = pytest.mark.anyio


class Prefect:
    """Prefect with so many running agents and triages; it takes fifty in one change, and refuses one of them all."""

    def __init__(self, agents: int, triages: int) -> None:
        self.running = {"agent_run": _ids(agents), "triage": _ids(triages)}
        self.stuck = self.running["agent_run"][0]
        self.cancelled: list[UUID] = []

    async def read_flow_runs(self, *, flow_filter: FlowFilter, limit: int, **_filters: Any) -> list[FlowRun]:
        assert flow_filter.name is not None
        [flow] = cast("Sequence[str]", flow_filter.name.any_)
        return [FlowRun(id=run_id, flow_id=uuid4()) for run_id in self.running[flow][:limit]]

    async def request(self, method: str, path: str, json: dict[str, Any]) -> httpx.Response:
        asked = [UUID(run_id) for run_id in json["flow_runs"]["id"]["any_"]]
        assert len(asked) <= 50
        assert json["state"]["type"] == "CANCELLING"
        taken = [run_id for run_id in asked if run_id != self.stuck]
        self.cancelled += taken
        for ids in self.running.values():
            ids[:] = [run_id for run_id in ids if run_id not in taken]
        results = [_result(run_id, "ACCEPT" if run_id in taken else "ABORT") for run_id in asked]
        return httpx.Response(200, json={"results": results})


def _ids(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


def _result(run_id: UUID, status: str) -> dict[str, Any]:
    return {"status": status, "state": {"state_details": {"flow_run_id": str(run_id)}}}


async def test_more_than_a_page_of_runs_are_cancelled() -> None:
    prefect = Prefect(agents=460, triages=3)
    triages = {*prefect.running["triage"]}
    cancelled = await PauseSwitch(cast(Any, prefect), Watches()).cancel_runs()
    assert len(cancelled) == 462
    assert {*prefect.cancelled} == cancelled
    assert {*prefect.cancelled[:3]} == triages
    assert prefect.running == {"agent_run": [prefect.stuck], "triage": []}
