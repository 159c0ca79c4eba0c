"""Schedules on a real Prefect server: what an outage leaves, what keeps failing, and what a changed register does."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Failed
from triage_service import ask, runs, until

from deployments.pools import RETIRED
from deployments.registration.bootstrap import apply_register
from deployments.registration.deployment import apply_deployment, retire_deployment
from deployments.registration.register import DeploymentEntry, LimitEntry, Register, RegisterError
from deployments.settings import HostSettings
from deployments.worker import failing_schedules as streak
from deployments.worker.missed_runs import MissedRuns

if TYPE_CHECKING:
    from conftest import Service


@pytest.fixture
async def prefect(service: Service) -> AsyncIterator[PrefectClient]:
    address = f"{service.stage.prefect_url}/api"
    async with PrefectClient(api=address, auth_string=service.stage.prefect_auth) as client:
        yield client


@asynccontextmanager
async def deployed(service: Service, request: dict[str, Any], schedule: dict[str, Any]) -> AsyncIterator[str]:
    """A triage of the test's own with an active schedule; gives its deployment's id."""
    async with service.prefect() as prefect:
        flow = (await prefect.get("/flows/name/triage")).json()
        made = await prefect.post(
            "/deployments/",
            json={
                "name": uuid4().hex,
                "flow_id": flow["id"],
                "work_pool_name": "triage",
                "parameters": {"request": request},
                "schedules": [{"active": True, "schedule": schedule, "slug": "the-one"}],
            },
        )
        assert made.status_code < 300, made.text
        deployment_id = str(made.json()["id"])
        try:
            yield deployment_id
        finally:
            await prefect.delete(f"/deployments/{deployment_id}")


async def pretend_outage(service: Service, deployment_id: str, hours: float) -> int:
    """Have Prefect make all the runs that were due in the last hours, and count them."""
    now = datetime.now(UTC)
    span = {"start_time": (now - timedelta(hours=hours)).isoformat(), "end_time": now.isoformat()}
    async with service.prefect() as prefect:
        body = {**span, "min_runs": 1000, "max_runs": 1000}
        (await prefect.post(f"/deployments/{deployment_id}/schedule", json=body)).raise_for_status()
    return len(await due(service, deployment_id))


async def due(service: Service, deployment_id: str) -> list[dict[str, Any]]:
    now = datetime.now(UTC).isoformat()
    return await runs(
        service,
        flow_runs={"deployment_id": {"any_": [deployment_id]}, "expected_start_time": {"before_": now}},
        sort="EXPECTED_START_TIME_ASC",
    )


# missed runs


async def test_after_an_outage_of_twelve_hours_one_run_of_a_schedule_is_made_up_for(service: Service) -> None:
    async with service.prefect() as prefect:
        await prefect.patch("/work_pools/triage", json={"is_paused": True})
        try:
            async with deployed(service, ask(), {"cron": "*/15 * * * *"}) as deployment_id:
                missed = await pretend_outage(service, deployment_id, hours=12)
                assert missed >= 47
                await prefect.patch("/work_pools/triage", json={"is_paused": False})

                async def settled() -> bool:
                    states = {run["state_type"] for run in await due(service, deployment_id)}
                    return states == {"CANCELLED", "COMPLETED"}

                await until(settled, "all of the missed runs settled", 120)
                found = await due(service, deployment_id)
                assert Counter(run["state_name"] for run in found[:-1]) == {"Skipped": len(found) - 1}
                assert found[-1]["state_name"] == "Completed"
                assert sum(run["run_count"] for run in found) == 1
        finally:
            await prefect.patch("/work_pools/triage", json={"is_paused": False})


async def test_by_setting_none_is_made_up_for(service: Service, prefect: PrefectClient) -> None:
    async with service.prefect() as rest, deployed(service, ask(), {"cron": "0 */3 * * *"}) as deployment_id:
        await rest.patch("/work_pools/triage", json={"is_paused": True})
        try:
            await pretend_outage(service, deployment_id, hours=12)
            only = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[UUID(deployment_id)]))
            waiting = [run for run in await prefect.read_flow_runs(flow_run_filter=only) if _is_due(run)]
            settings = HostSettings(catch_up="none", missed_after_seconds=0.001)
            assert await MissedRuns(prefect, settings).skip_missed(waiting) == []
            assert {run["state_name"] for run in await due(service, deployment_id)} == {"Skipped"}
        finally:
            await rest.patch("/work_pools/triage", json={"is_paused": False})


def _is_due(run: FlowRun) -> bool:
    return run.expected_start_time is not None and run.expected_start_time < datetime.now(UTC)


# schedules that fail


async def test_a_schedule_whose_runs_keep_failing_is_paused_by_an_automation(service: Service) -> None:
    request = ask(source={"type": "folder", "path": "nowhere"})
    async with service.prefect() as prefect, deployed(service, request, {"interval": 1}) as deployment_id:

        async def paused() -> bool:
            return bool((await prefect.get(f"/deployments/{deployment_id}")).json()["paused"])

        await until(paused, "the deployment paused", 120)
        failed = [run for run in await due(service, deployment_id) if run["state_type"] == "FAILED"]
        assert len(failed) >= 3
        named = (await prefect.post("/automations/filter", json={})).json()
        assert "Pause a schedule that keeps failing" in [automation["name"] for automation in named]


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([Failed(), Failed(), Failed()], True),
        ([Failed(), Completed(), Failed()], False),
        ([Failed(), Failed()], False),
    ],
)
async def test_only_failures_in_a_row_are_told(states: list[Any], told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment_id = uuid4()
    last = [FlowRun(flow_id=uuid4(), deployment_id=deployment_id, auto_scheduled=True, state=one) for one in states]
    emitted: list[Any] = []
    monkeypatch.setattr(streak, "emit_event", lambda *event, **members: emitted.append((event, members)))

    class Client:
        async def read_flow_runs(self, **_query: Any) -> list[FlowRun]:
            return [run.model_copy(update={"state_type": run.state.type if run.state else None}) for run in last]

    await streak.report_failing_schedule(Client(), last[0])  # type: ignore[arg-type]
    assert bool(emitted) is told
    await streak.report_failing_schedule(Client(), last[0].model_copy(update={"auto_scheduled": False}))  # type: ignore[arg-type]
    assert len(emitted) == int(told)


# the register


def entry(**members: Any) -> DeploymentEntry:
    return DeploymentEntry.model_validate(
        {
            "name": "registered",
            "entrypoint": "flows.triage.triage",
            "work_pool": {"name": "triage"},
            "parameters": {"request": ask()},
            "schedules": [{"slug": "daily", "cron": "0 7 * * *", "active": False}, {"cron": "0 9 * * *"}],
            **members,
        }
    )


async def test_what_an_operator_has_switched_in_prefect_stays_until_the_register_says_otherwise(
    prefect: PrefectClient,
) -> None:
    first = entry()
    name = (await apply_deployment(prefect, first)).name

    async def active() -> dict[str | None, bool]:
        deployment = await prefect.read_deployment_by_name(name)
        return {schedule.slug: bool(schedule.active) for schedule in deployment.schedules}

    try:
        assert await active() == {"daily": False, "schedule-2": True}
        known = await prefect.read_deployment_by_name(name)
        daily = next(schedule for schedule in known.schedules if schedule.slug == "daily")
        await prefect.update_deployment_schedule(known.id, daily.id, active=True)
        await prefect.pause_deployment(known.id)

        await apply_deployment(prefect, first)
        await apply_deployment(prefect, first.model_copy(update={"description": "changed"}))
        again = await prefect.read_deployment_by_name(name)
        assert (again.description, again.paused) == ("changed", True)
        assert await active() == {"daily": True, "schedule-2": True}
        assert {schedule.id for schedule in again.schedules} == {schedule.id for schedule in known.schedules}

        fewer = entry(schedules=[{"slug": "daily", "cron": "0 8 * * *", "active": False}], description="changed")
        await apply_deployment(prefect, fewer)
        last = await prefect.read_deployment_by_name(name)
        assert await active() == {"daily": False}
        assert (last.paused, getattr(last.schedules[0].schedule, "cron", None)) == (False, "0 8 * * *")

        assert await retire_deployment(prefect, last)
        retired = await prefect.read_deployment_by_name(name)
        assert (retired.paused, retired.version) == (True, RETIRED)
        assert not await retire_deployment(prefect, retired)
        await apply_deployment(prefect, fewer)
        assert not (await prefect.read_deployment_by_name(name)).paused
    finally:
        await prefect.delete_deployment((await prefect.read_deployment_by_name(name)).id)


async def test_what_prefect_refuses_all_the_same_leaves_the_rest_as_it_was(prefect: PrefectClient) -> None:
    first = entry()
    name = (await apply_deployment(prefect, first)).name
    known = await prefect.read_deployment_by_name(name)
    try:
        changed = entry(description="changed", paused=True, schedules=[{"slug": "other", "cron": "0 8 * * *"}])
        added = entry(name="added")
        refused = first.model_copy(
            update={"name": "refused", "concurrency_limit": LimitEntry.model_construct(limit=-1)}
        )
        with pytest.raises(RegisterError, match="Prefect refuses the deployment refused"):
            await apply_register(prefect, Register(deployments=[changed, added, refused]))
        again = await prefect.read_deployment_by_name(name)
        assert (again.description, again.paused, again.version) == (known.description, known.paused, known.version)
        assert {one.slug: one.active for one in again.schedules} == {one.slug: one.active for one in known.schedules}
        with pytest.raises(ObjectNotFound):
            await prefect.read_deployment_by_name("triage/added")
    finally:
        await prefect.delete_deployment(known.id)


async def test_a_changed_register_is_picked_up_and_one_with_a_mistake_changes_nothing(service: Service) -> None:
    path = service.stage.directory / "prefect.yaml"
    before = path.read_text()
    register = yaml.safe_load(before)
    inbox = next(one for one in register["deployments"] if one["name"] == "inbox")

    async def description() -> str:
        async with service.prefect() as prefect:
            return str((await prefect.get("/deployments/name/triage/inbox")).json()["description"])

    try:
        inbox["description"] = "something else"
        register["deployments"][1]["schedules"][0]["interval"] = "often"
        path.write_text(yaml.safe_dump(register))
        refused = await service.client.post("/register")
        assert refused.status_code == 422
        assert "interval" in refused.json()["detail"]
        assert await description() != "something else"

        register["deployments"][1]["schedules"][0]["interval"] = 10
        path.write_text(yaml.safe_dump(register))
        applied = await service.client.post("/register")
        assert applied.json()["deployments"] == ["agent_run/agent-run", "agent_run/task-runner", "triage/inbox"]
        assert await description() == "something else"
    finally:
        path.write_text(before)
        await service.client.post("/register")
