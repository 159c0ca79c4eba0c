"""What a whole service tells once agents have run in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from observed_names import asked_for
from prometheus_client.parser import text_string_to_metric_families
from promtool import PROMTOOL, promtool

if TYPE_CHECKING:
    from conftest import Service


async def scrape(service: Service) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await service.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    if PROMTOOL is not None:
        assert promtool("check", "metrics", given=answer.content) == ""
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


async def test_after_a_run_there_is_every_series_that_dashboard_and_alerts_ask_for(service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}]}
    answer = await service.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    finished = (
        "agent_service_runs_finished_total",
        (("agent", "recruiter-triage"), ("outcome", "completed"), ("trigger", "chat")),
    )
    async with asyncio.timeout(30):  # the caller has the answer before the run's bookkeeping is done
        while finished not in (told := await scrape(service)):
            await asyncio.sleep(0.1)
    assert asked_for() <= {name for name, _ in told}
    counted = {name: value for (name, labels), value in told.items() if ("model", "claude-sonnet-4-6") in labels}
    assert counted["agent_service_cost_dollars_total"] > 0
    # and the service's log says which run its lines are about
    assert f"[{answer.headers['x-flow-run-id']}] " in service.stage.log()


async def test_agents_that_there_are_not_make_no_series_of_their_own(service: Service) -> None:
    jobs = []
    for number in range(2):
        body = {
            "agent": f"plugin:random-{number}",
            "prompt": "hello",
            "tags": [f"tag-{number}"],
            "model": f"model-{number}",
        }
        jobs.append((await service.client.post("/execute", json=body)).json()["job_id"])
    for job in jobs:
        ended = (await service.client.get(f"/jobs/{job}", params={"wait": 60})).json()
        assert ended["status"] == "error"
    unknown = (
        "agent_service_runs_finished_total",
        (("agent", "unknown"), ("outcome", "error"), ("trigger", "execute")),
    )
    async with asyncio.timeout(30):
        while (told := await scrape(service)).get(unknown, 0) < len(jobs):
            await asyncio.sleep(0.1)
    labels = {value for _, pairs in told for _, value in pairs}
    assert not any(value.startswith(("plugin:", "random-", "tag-", "model-")) for value in labels)
