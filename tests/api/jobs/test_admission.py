"""The queue has a bound that a burst does not slip past."""

import asyncio
from typing import Any

import httpx
import pytest
from fake_host import FakeHost, client_of

from agent.domain.errors import AgentBusy
from api.http.errors import ApiError
from api.jobs.admission import MAX_WRITERS, Admission
from deployments.prefect_client.calls import PrefectUnavailable

JOB = {"prompt": "x", "agent": "a"}


def with_room(host: FakeHost, *, free: int, depth: int) -> FakeHost:
    host.settings = host.settings.model_copy(update={"max_queue_depth": depth})
    host.runtime.slots._free = host.runtime.slots._free[:free]
    return host


async def statuses(host: FakeHost, count: int) -> list[int]:
    async with client_of(host) as client:
        answers = await asyncio.gather(*(client.post("/execute", json=JOB) for _ in range(count)))
    return sorted(answer.status_code for answer in answers)


async def test_past_the_bound_a_job_is_refused_with_a_string_and_a_time(host: FakeHost) -> None:
    with_room(host, free=0, depth=3).waiting = 3
    async with client_of(host) as client:
        answer = await client.post("/execute", json=JOB)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "30"
    assert answer.json() == {"detail": "queue is full: 3 jobs wait already (MAX_QUEUE_DEPTH); try again later"}


@pytest.mark.parametrize("delay_seconds", [0, 0.01])
async def test_a_burst_fills_the_queue_and_no_more(host: FakeHost, delay_seconds: float) -> None:
    with_room(host, free=0, depth=10).delay_seconds = delay_seconds
    assert await statuses(host, 50) == [202] * 10 + [429] * 40
    assert len(host.submitted) == 10


async def test_free_slots_count_as_room(host: FakeHost) -> None:
    with_room(host, free=2, depth=0)
    assert await statuses(host, 5) == [202] * 2 + [409] * 3


async def test_requests_that_come_together_share_one_question_to_prefect(host: FakeHost) -> None:
    counted = 0
    count = host.count_due

    async def counting() -> int:
        nonlocal counted
        counted += 1
        return await count()

    host.delay_seconds = 0.02
    host.count_due = counting  # type: ignore[method-assign]
    assert await statuses(host, 50) == [202] * 50
    assert counted < 5


async def admit(admission: Admission, failure: Exception | None = None) -> None:
    async with admission.admit():
        if failure:
            raise failure


async def test_a_job_that_could_not_be_queued_takes_no_room(host: FakeHost) -> None:
    with_room(host, free=0, depth=1).waiting = 0
    admission = Admission(host)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(PrefectUnavailable):
            await admit(admission, PrefectUnavailable("gone"))
    await admit(admission)


async def test_room_comes_back_as_jobs_start(host: FakeHost) -> None:
    with_room(host, free=0, depth=2)
    admission: Any = Admission(host)  # type: ignore[arg-type]
    host.waiting = 2
    with pytest.raises(ApiError):
        await admit(admission)
    host.waiting = 1
    await admit(admission)


async def test_a_caller_who_gives_up_does_not_spoil_the_count_of_the_others(host: FakeHost) -> None:
    host.delay_seconds = 0.05
    admission = Admission(host)  # type: ignore[arg-type]
    first = asyncio.create_task(admit(admission))
    second = asyncio.create_task(admit(admission))
    await asyncio.sleep(0.01)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_where_nothing_waits_the_answer_is_busy(host: FakeHost, client: httpx.AsyncClient) -> None:
    with_room(host, free=0, depth=0)
    with pytest.raises(AgentBusy):
        await admit(Admission(host))  # type: ignore[arg-type]


async def test_a_burst_is_handed_to_prefect_a_few_at_a_time(host: FakeHost) -> None:
    at_once = most = 0
    submit = host.submit

    async def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await submit(*arguments, **options)
        finally:
            at_once -= 1

    host.submit = counting  # type: ignore[method-assign]
    host.delay_seconds = 0.002
    assert await statuses(host, 40) == [202] * 40
    assert most == MAX_WRITERS


async def test_those_in_line_behind_a_prefect_that_does_not_answer_do_not_wait_for_it_each(host: FakeHost) -> None:
    asked = 0

    async def no_answer(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.2)
        raise PrefectUnavailable("no answer")

    host.submit = no_answer  # type: ignore[method-assign]
    assert await statuses(host, 80) == [503] * 80
    assert asked < 40
    host.submit = FakeHost.submit.__get__(host)  # type: ignore[method-assign]
    assert await statuses(host, 1) == [202]
