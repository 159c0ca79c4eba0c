"""Callers who leave the running service: five seconds later nothing of their run is left, and nothing more is paid."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from waiting import pauses

from demo.offline_model.model import OfflineModel
from demo.service import Stage

CHAT = "/v1/chat/completions"
HANGING = [{"text": "I am about to", "hang": True}]
WORKING = [
    {"text": "I will watch.", "tool": "Bash", "input": {"command": "(setsid tail -f /dev/null &) ; tail -f /dev/null"}},
    {"text": "I have watched."},
]
KEYED = {"Idempotency-Key": "leaving"}
LEFT_SECONDS = 5
DEADLINE_SECONDS = 60


class Service:
    """The fixture `service`, as these tests use it."""

    stage: Stage
    model: OfflineModel
    client: httpx.AsyncClient
    prefect: Callable[[], httpx.AsyncClient]


# half of all combinations: any two of the three are met together
@pytest.mark.parametrize(
    ("steps", "stream", "headers"),
    [
        pytest.param(HANGING, True, {}, id="the model talks, streamed, for good"),
        pytest.param(WORKING, False, {}, id="a tool is at work, plain, for good"),
        pytest.param(WORKING, True, KEYED, id="a tool is at work, streamed, may return", marks=pytest.mark.long),
        pytest.param(HANGING, False, KEYED, id="the model talks, plain, may return", marks=pytest.mark.long),
    ],
)
async def test_five_seconds_after_a_caller_left_there_is_no_process_and_no_cost(
    service: Service, steps: list[dict[str, Any]], stream: bool, headers: dict[str, str]
) -> None:
    user = uuid4().hex
    prompt = f"{user} offline-model: {json.dumps(steps)}"
    body = {"messages": [{"role": "user", "content": prompt}], "user": user, "stream": stream}
    keyed = {name: f"{value} {user}" for name, value in headers.items()}
    asking = asyncio.create_task(service.client.post(CHAT, json=body, headers=keyed))
    run_id = await run_of(service, user)
    await until(lambda: asked(service, prompt) and processes(run_id), "the agent is at work")
    if steps is WORKING:
        await until(lambda: "tail" in names(processes(run_id)), "its tool is at work")
    asking.cancel()
    await asyncio.wait([asking])
    left_at = time.monotonic()
    await until(lambda: not processes(run_id), "nothing of the run is left")
    took = time.monotonic() - left_at
    requests = asked(service, prompt)
    await until_over(service, run_id)
    assert took < LEFT_SECONDS
    assert asked(service, prompt) == requests == 1
    assert not (service.stage.state_dir / "runs" / run_id).exists()


async def run_of(service: Service, user: str) -> str:
    """The id of the flow run with the user's tag."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    async with service.prefect() as prefect:
        while time.monotonic() < deadline:
            wanted = {"flow_runs": {"tags": {"all_": [f"user:{user}"]}}}
            if found := (await prefect.post("/flow_runs/filter", json=wanted)).json():
                return str(found[0]["id"])
            await asyncio.sleep(0.1)
    raise AssertionError("no run came of it")


async def until_over(service: Service, run_id: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (await service.client.get(f"/jobs/{run_id}", params={"wait": 5})).json()["status"] == "running":
        assert time.monotonic() < deadline, "the run is still running"


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    for pause in pauses():
        if condition():
            return
        assert time.monotonic() < deadline, f"not so: {what}"
        await asyncio.sleep(pause)


def processes(run_id: str) -> list[psutil.Process]:
    """Whatever has the run's own directory in its arguments or its environment, and all that it has started."""
    found = set()
    for process in psutil.process_iter():
        try:
            own = [*process.cmdline(), *process.environ().values()]
            if any(run_id in word for word in own):
                found |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    return [process for process in found if process.is_running()]


def names(some: list[psutil.Process]) -> set[str]:
    found = set()
    for process in some:
        try:
            found.add(process.name())
        except psutil.Error:
            continue
    return found


def asked(service: Service, prompt: str) -> int:
    """How many calls to the model the run has made."""
    return sum(json.dumps(prompt)[1:-1] in json.dumps(request.body) for request in service.model.message_requests)
