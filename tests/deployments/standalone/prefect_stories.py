"""What people, workers and flows ask of Prefect's API, told as stories of requests.

Each leaves nothing of its own behind but runs; each is independent of the others, so that they can be told at once.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from prefect_rest import PrefectRest


def named(kind: str) -> str:
    return f"{kind}-{uuid4().hex[:8]}"


def at(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def make_flow(rest: PrefectRest) -> str:
    return str((await rest("POST", "/flows/", {"name": named("flow")}))["id"])


async def make_run(rest: PrefectRest, flow_id: str, state: str = "PENDING") -> str:
    run = await rest("POST", "/flow_runs/", {"flow_id": flow_id, "name": named("run"), "state": {"type": state}})
    return str(run["id"])


async def set_state(rest: PrefectRest, run: str, state: str, kind: str = "flow_runs", **details: Any) -> str:
    body = {"state": {"type": state, "state_details": details}}
    return str((await rest("POST", f"/{kind}/{run}/set_state", body))["status"])


async def one_run(rest: PrefectRest, flow_id: str) -> None:
    """A run from its creation to its end, with a line of log."""
    run = await make_run(rest, flow_id)
    await set_state(rest, run, "RUNNING")
    line = {"name": "test", "level": 20, "message": "hello", "timestamp": at(), "flow_run_id": run}
    await rest("POST", "/logs/", [line])
    await set_state(rest, run, "COMPLETED")


async def work_pools(rest: PrefectRest) -> None:
    pool = named("pool")
    await rest("POST", "/work_pools/", {"name": pool, "type": "process"})
    queue = await rest("POST", f"/work_pools/{pool}/queues", {"name": "high", "priority": 1})
    for paused in (True, False):
        await rest("PATCH", f"/work_pools/{pool}/queues/high", {"is_paused": paused})
        await rest("PATCH", f"/work_queues/{queue['id']}", {"is_paused": paused})
        await rest("PATCH", f"/work_pools/{pool}", {"is_paused": paused, "concurrency_limit": 3})
    await rest("POST", f"/work_pools/{pool}/workers/heartbeat", {"name": "worker", "heartbeat_interval_seconds": 30})
    await rest("POST", f"/work_pools/{pool}/workers/filter", {})
    await rest("POST", f"/work_pools/{pool}/get_scheduled_flow_runs", {"scheduled_before": at(60)})
    await rest("POST", f"/work_queues/{queue['id']}/get_runs", {"scheduled_before": at(60)})
    await rest("GET", f"/work_queues/{queue['id']}/status")
    await rest("POST", f"/work_pools/{pool}/concurrency_status", {})
    await rest("DELETE", f"/work_pools/{pool}/queues/high")
    await rest("DELETE", f"/work_pools/{pool}")


async def deployments(rest: PrefectRest) -> None:
    flow_id, pool = await make_flow(rest), named("pool")
    await rest("POST", "/work_pools/", {"name": pool, "type": "process"})
    schedule = {"schedule": {"cron": "*/5 * * * *", "timezone": "UTC"}}
    body = {"name": "main", "flow_id": flow_id, "work_pool_name": pool, "schedules": [schedule], "concurrency_limit": 1}
    deployment = f"/deployments/{(await rest('POST', '/deployments/', body))['id']}"
    await rest("PATCH", deployment, {"description": "changed", "tags": ["a"]})
    await rest("POST", f"{deployment}/schedule", {})
    await rest("POST", f"{deployment}/pause_deployment")
    await rest("POST", f"{deployment}/resume_deployment")
    (added,) = await rest("POST", f"{deployment}/schedules", [{"schedule": {"interval": 3600}}])
    await rest("PATCH", f"{deployment}/schedules/{added['id']}", {"active": False})
    await rest("GET", f"{deployment}/schedules")
    await rest("DELETE", f"{deployment}/schedules/{added['id']}")
    first = await rest("POST", f"{deployment}/create_flow_run", {"idempotency_key": named("key")})
    second = await rest("POST", f"{deployment}/create_flow_run", {})
    await rest("POST", f"{deployment}/create_flow_run/bulk", [{}, {}])
    assert await set_state(rest, first["id"], "PENDING") == "ACCEPT"
    assert await set_state(rest, second["id"], "PENDING") != "ACCEPT", "the deployment's limit is 1"
    for view in ("filter", "paginate", "count"):
        await rest("POST", f"/deployments/{view}", {})
    await rest("POST", "/deployments/get_scheduled_flow_runs", {"deployment_ids": [deployment.rsplit("/", 1)[1]]})
    await rest("DELETE", deployment)
    await rest("DELETE", f"/work_pools/{pool}")
    await rest("DELETE", f"/flows/{flow_id}")


async def flow_runs(rest: PrefectRest) -> None:
    flow_id = await make_flow(rest)
    run = await make_run(rest, flow_id)
    await set_state(rest, run, "RUNNING")
    await set_state(rest, run, "PAUSED", pause_timeout=at(300), pause_key="k")
    await rest("POST", f"/flow_runs/{run}/resume", {})
    await rest("PATCH", f"/flow_runs/{run}", {"tags": ["b"]})
    await rest("PATCH", f"/flow_runs/{run}/labels", {"label": "1"})
    await rest("POST", f"/flow_runs/{run}/input", {"key": "answer", "value": "42"})
    await rest("GET", f"/flow_runs/{run}/input/answer")
    await rest("DELETE", f"/flow_runs/{run}/input/answer")
    assert await set_state(rest, run, "CANCELLING") == "ACCEPT"
    assert await set_state(rest, run, "CANCELLED") == "ACCEPT"
    others = {"id": {"any_": [await make_run(rest, flow_id) for _ in range(2)]}}
    await rest("POST", "/flow_runs/bulk_set_state", {"flow_runs": others, "state": {"type": "CANCELLED"}})
    for part in ("", "/graph", "/graph-v2", "/logs/download"):
        await rest("GET", f"/flow_runs/{run}{part}")
    await rest("DELETE", f"/flow_runs/{run}")
    await rest("POST", "/flow_runs/bulk_delete", {"flow_runs": others})


async def task_runs(rest: PrefectRest) -> None:
    run, tag = await make_run(rest, await make_flow(rest), "RUNNING"), named("tag")
    await rest("POST", "/v2/concurrency_limits/", {"name": f"tag:{tag}", "limit": 1})
    body = {"flow_run_id": run, "task_key": "task", "tags": [tag], "state": {"type": "PENDING"}}
    first, second = [await rest("POST", "/task_runs/", {**body, "dynamic_key": key}) for key in "ab"]
    # Prefect takes the slot in a second transaction inside the first
    assert await set_state(rest, first["id"], "RUNNING", "task_runs") == "ACCEPT"
    assert await set_state(rest, second["id"], "RUNNING", "task_runs") == "WAIT"
    assert await set_state(rest, first["id"], "COMPLETED", "task_runs") == "ACCEPT"
    assert await set_state(rest, second["id"], "RUNNING", "task_runs") == "ACCEPT"
    await rest("PATCH", f"/task_runs/{first['id']}", {"name": "renamed"})
    for view in ("filter", "paginate", "count"):
        await rest("POST", f"/task_runs/{view}", {})
    await rest("DELETE", f"/task_runs/{first['id']}")
    await rest("DELETE", f"/v2/concurrency_limits/tag:{tag}")


async def limits(rest: PrefectRest) -> None:
    name, tag = named("limit"), named("tag")
    await rest("POST", "/v2/concurrency_limits/", {"name": name, "limit": 2})
    slot = {"slots": 1, "names": [name], "mode": "concurrency"}
    await rest("POST", "/v2/concurrency_limits/increment", slot)
    await rest("POST", "/v2/concurrency_limits/decrement", {**slot, "occupancy_seconds": 1.0})
    lease = await rest("POST", "/v2/concurrency_limits/increment-with-lease", {**slot, "lease_duration": 60})
    await rest("POST", f"/v2/concurrency_limits/leases/{lease['lease_id']}/renew", {"lease_duration": 60})
    await rest("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease["lease_id"]})
    await rest("PATCH", f"/v2/concurrency_limits/{name}", {"limit": 3})
    await rest("POST", "/v2/concurrency_limits/filter", {})
    await rest("DELETE", f"/v2/concurrency_limits/{name}")
    holder = {"names": [tag], "task_run_id": str(uuid4())}
    await rest("POST", "/concurrency_limits/", {"tag": tag, "concurrency_limit": 1})
    await rest("POST", "/concurrency_limits/increment", holder)
    await rest("POST", "/concurrency_limits/decrement", holder)
    await rest("POST", f"/concurrency_limits/tag/{tag}/reset", {})
    await rest("DELETE", f"/concurrency_limits/tag/{tag}")


async def automations(rest: PrefectRest) -> None:
    flow_id = await make_flow(rest)
    trigger = {
        "type": "event",
        "posture": "Proactive",
        "after": ["prefect.flow-run.heartbeat"],
        "expect": ["prefect.flow-run.heartbeat", "prefect.flow-run.Completed"],
        "for_each": ["prefect.resource.id"],
        "threshold": 1,
        "within": 90,
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
    }
    body = {"name": named("a"), "trigger": trigger, "actions": [{"type": "change-flow-run-state", "state": "CRASHED"}]}
    automation = f"/automations/{(await rest('POST', '/automations/', body))['id']}"
    await rest("PATCH", automation, {"enabled": False})
    await rest("PUT", automation, {**body, "description": "changed"})
    await rest("GET", automation)
    run = await make_run(rest, flow_id, "RUNNING")
    resource = {"prefect.resource.id": f"prefect.flow-run.{run}"}
    beat = {"event": "prefect.flow-run.heartbeat", "occurred": at(), "id": str(uuid4()), "resource": resource}
    await rest("POST", "/events", [beat])
    await rest("POST", "/events/filter", {"filter": {}})
    await rest("POST", "/events/count-by/day", {"filter": {}})
    await rest("POST", "/automations/filter", {})
    await rest("DELETE", automation)


async def artifacts(rest: PrefectRest) -> None:
    run, key = await make_run(rest, await make_flow(rest), "RUNNING"), named("artifact")
    body = {"key": key, "type": "markdown", "flow_run_id": run}
    first, second = [await rest("POST", "/artifacts/", {**body, "data": text}) for text in ("# one", "# two")]
    await rest("GET", f"/artifacts/{key}/latest")
    for view in ("filter", "latest/filter", "count", "latest/count"):
        await rest("POST", f"/artifacts/{view}", {})
    await rest("PATCH", f"/artifacts/{first['id']}", {"description": "changed"})
    for artifact in (second, first):
        await rest("DELETE", f"/artifacts/{artifact['id']}")


async def blocks_and_variables(rest: PrefectRest) -> None:
    kind = await rest("GET", "/block_types/slug/local-file-system")
    wanted = {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
    schema, *_ = await rest("POST", "/block_schemas/filter", wanted)
    ids = {"block_schema_id": schema["id"], "block_type_id": kind["id"]}
    block = await rest("POST", "/block_documents/", {"name": named("block"), "data": {"basepath": "/one"}, **ids})
    await rest("PUT", "/admin/storage", {"default_result_storage_block_id": block["id"]})
    await rest("GET", "/admin/storage")
    await rest("DELETE", "/admin/storage")
    await rest("PATCH", f"/block_documents/{block['id']}", {"data": {"basepath": "/two"}})
    await rest("DELETE", f"/block_documents/{block['id']}")
    await rest("POST", "/block_types/install_system_block_types")
    variable = named("variable").replace("-", "_")
    await rest("POST", "/variables/", {"name": variable, "value": 1})
    await rest("PATCH", f"/variables/name/{variable}", {"value": 2})
    await rest("DELETE", f"/variables/name/{variable}")


async def the_ui(rest: PrefectRest) -> None:
    history = {"history_start": at(-3600), "history_end": at(60), "history_interval_seconds": 60}
    await rest("POST", "/flow_runs/history", history)
    await rest("POST", "/task_runs/history", history)
    for view in ("filter", "paginate", "count", "lateness"):
        await rest("POST", f"/flow_runs/{view}", {})
    flow_id = await make_flow(rest)
    await rest("POST", "/ui/flow_runs/history", {})
    await rest("POST", "/ui/flows/count-deployments", {"flow_ids": [flow_id]})
    await rest("POST", "/ui/flows/next-runs", {"flow_ids": [flow_id]})
    await rest("POST", "/ui/task_runs/count", {})
    await rest("POST", "/logs/filter", {})
    await rest("GET", "/admin/settings")
    await rest("POST", "/flows/bulk_delete", {"flows": {"id": {"any_": [flow_id]}}})


ALL = (
    work_pools,
    deployments,
    flow_runs,
    task_runs,
    limits,
    automations,
    artifacts,
    blocks_and_variables,
    the_ui,
)
