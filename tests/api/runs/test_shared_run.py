"""One logical request is one run: callers who come back, keys, and those who only look alike."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_host import FakeHost, FakeOutcomes, result, settings
from sse import read_chunks, text_of
from wire import DEADLINE_SECONDS, HELLO, served, until

from agent.domain.errors import AgentBusy
from agent.domain.events import Said, Started, TextDelta
from agent.domain.result import Outcome
from api.runs import presence as attendance
from api.runs import shared_run as call
from store.store import open_store

CHAT = "/v1/chat/completions"
STARTED = Started(session_id="s", model="m")
FIRST = {"x-stainless-retry-count": "0"}
AGAIN = {"x-stainless-retry-count": "1"}
KEY = {"Idempotency-Key": "k-1"}


@pytest.fixture
def going_on(host: FakeHost) -> asyncio.Event:
    """The agent says a word, and goes on when this is set."""
    event = asyncio.Event()
    host.events = [STARTED, TextDelta(text="do"), event, TextDelta(text="ne"), Said(text="done")]
    return event


@pytest.fixture
async def keys(host: FakeHost, tmp_path: Path) -> AsyncIterator[None]:
    """A real store behind the fake host."""
    async with open_store(f"sqlite:///{tmp_path / 'store.sqlite3'}") as store:
        host.store = replace(store, outcomes=FakeOutcomes(host.outcomes))  # type: ignore[assignment, arg-type]
        yield


@pytest.fixture
async def client(host: FakeHost) -> AsyncIterator[httpx.AsyncClient]:
    async with served(host, settings(caller_grace_seconds=0.5)) as client:
        yield client


async def ask(client: httpx.AsyncClient, headers: dict[str, str], **members: Any) -> httpx.Response:
    return await client.post(CHAT, json=HELLO | members, headers=headers)


async def hang_up(client: httpx.AsyncClient, host: FakeHost, headers: dict[str, str], **members: Any) -> None:
    """Ask, and go away once the run has begun."""
    before = len(host.inline_runs)
    asking = asyncio.create_task(ask(client, headers, **members))
    await until(lambda: len(host.inline_runs) > before)
    asking.cancel()
    await asyncio.wait([asking])
    await client.get("/health")  # the service has seen it go when it answers this


# A client that counts its attempts


async def test_a_retry_joins_the_run_that_its_first_attempt_started(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    await hang_up(client, host, FIRST)
    again = asyncio.create_task(ask(client, AGAIN))
    await asyncio.sleep(0.6)  # longer than the grace: whoever came back is waited for
    assert host.left == []
    going_on.set()
    answer = await again
    assert answer.json()["choices"][0]["message"]["content"] == "done"
    assert len(host.inline_runs) == 1


async def test_a_streamed_one_hears_it_from_the_first_word(client: httpx.AsyncClient, host: FakeHost) -> None:
    going_on = asyncio.Event()
    host.events = [going_on, STARTED, TextDelta(text="do"), TextDelta(text="ne"), Said(text="done")]
    await hang_up(client, host, FIRST, stream=True)
    again = asyncio.create_task(ask(client, AGAIN, stream=True))
    going_on.set()
    assert text_of(read_chunks((await again).text)) == "done"
    assert len(host.inline_runs) == 1


async def test_a_retry_gets_an_answer_that_came_while_nobody_was_there(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    await hang_up(client, host, FIRST)
    going_on.set()
    await until(lambda: host.left)
    answer = await ask(client, AGAIN)
    assert answer.status_code == 200
    assert len(host.inline_runs) == 1


async def test_one_that_comes_too_late_starts_anew(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    await hang_up(client, host, FIRST)
    await until(lambda: host.left)
    going_on.set()
    assert (await ask(client, AGAIN)).status_code == 200
    assert len(host.inline_runs) == 2


async def test_who_is_still_served_is_somebody_else(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    first = asyncio.create_task(ask(client, FIRST))
    await until(lambda: len(host.inline_runs) == 1)
    second = asyncio.create_task(ask(client, AGAIN))
    await until(lambda: len(host.inline_runs) == 2)
    going_on.set()
    runs = {(await task).headers["x-flow-run-id"] for task in (first, second)}
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("headers", "members"),
    [
        ({}, {}),
        (AGAIN, {"temperature": 0.5}),
        (AGAIN | {"x-timeout-seconds": "5"}, {}),
        ({"x-stainless-retry-count": "x"}, {}),
    ],
)
async def test_whoever_does_not_say_so_or_says_something_else_has_a_run_of_its_own(
    client: httpx.AsyncClient,
    host: FakeHost,
    going_on: asyncio.Event,
    headers: dict[str, str],
    members: dict[str, Any],
) -> None:
    await hang_up(client, host, FIRST)
    going_on.set()
    assert (await ask(client, headers, **members)).status_code == 200
    assert len(host.inline_runs) == 2


async def test_two_who_said_the_same_and_left_each_get_their_own_back(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    await asyncio.gather(hang_up(client, host, FIRST), hang_up(client, host, FIRST))
    going_on.set()
    answers = await asyncio.gather(ask(client, AGAIN), ask(client, AGAIN))
    assert len({answer.headers["x-flow-run-id"] for answer in answers}) == 2
    assert len(host.inline_runs) == 2


async def test_an_answer_that_was_given_is_not_given_again(client: httpx.AsyncClient, host: FakeHost) -> None:
    answers = [await ask(client, headers) for headers in (FIRST, AGAIN)]
    assert len({answer.headers["x-flow-run-id"] for answer in answers}) == 2


async def test_one_that_was_refused_for_load_may_try_again(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.failure = AgentBusy()
    assert (await ask(client, FIRST)).status_code == 503
    host.failure = None
    assert (await ask(client, AGAIN)).status_code == 200


async def test_the_same_request_joins_whatever_count_it_states(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    await hang_up(client, host, FIRST)
    again = asyncio.create_task(ask(client, FIRST))
    await asyncio.sleep(0.1)
    going_on.set()
    assert (await again).status_code == 200
    assert len(host.inline_runs) == 1


# The same request after a run that failed


FAILED = Outcome(result=result("no"), error="the agent reported an error")


@pytest.mark.parametrize("headers", [{}, FIRST, AGAIN])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_bytes_get_the_failure_of_the_paid_run_again(
    client: httpx.AsyncClient, host: FakeHost, headers: dict[str, str], stream: bool
) -> None:
    host.outcome = FAILED
    first, again = [await ask(client, headers, stream=stream) for _ in range(2)]
    assert len(host.inline_runs) == 1
    assert first.status_code == again.status_code == 503
    assert first.json() == again.json()
    assert first.headers["x-flow-run-id"] == again.headers["x-flow-run-id"]
    assert ("x-repeated-failure" in first.headers, again.headers["x-repeated-failure"]) == (False, "true")
    assert "x-cost-usd" in first.headers
    assert "x-cost-usd" not in again.headers


async def test_another_request_another_caller_and_a_key_have_runs_of_their_own(
    client: httpx.AsyncClient, host: FakeHost, keys: None
) -> None:
    host.outcome = FAILED
    for headers, members in (({}, {}), ({}, {"seed": 1}), (KEY, {}), ({"x-timeout-seconds": "5"}, {})):
        assert "x-repeated-failure" not in (await ask(client, headers, **members)).headers
    assert len(host.inline_runs) == 4


async def test_a_failure_is_forgotten_in_time(host: FakeHost) -> None:
    host.outcome = FAILED
    async with served(host, settings(repeat_failure_seconds=0)) as client:
        for _ in range(2):
            await ask(client, {})
    assert len(host.inline_runs) == 2


async def test_what_cost_nothing_is_tried_again(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.outcome = Outcome(error="the sandbox could not be made")
    for _ in range(2):
        assert (await ask(client, {})).status_code == 503
    assert len(host.inline_runs) == 2


async def test_the_status_of_a_paid_failure_is_a_setting(host: FakeHost) -> None:
    host.outcome = FAILED
    async with served(host, settings(openai_compat_failure_status=400)) as client:
        answer = await ask(client, {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "execution_failed")
        assert answer.json()["error"]["message"].startswith("execution failed")
        host.outcome = Outcome(error="the sandbox could not be made")
        assert (await ask(client, {}, seed=1)).status_code == 503


async def test_a_model_that_the_provider_lacks_is_no_trouble_of_ours(client: httpx.AsyncClient, host: FakeHost) -> None:
    cause = "There's an issue with the selected model (claude-x). It may not exist or you may not have access to it."
    host.outcome = Outcome(result=result("no"), error=cause)
    answer = await ask(client, {})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "model", "model_not_found")
    assert error["message"].startswith("unsupported model: the provider does not have")


# Those who will not come back


@pytest.mark.parametrize(("headers", "stream"), [({}, False), ({}, True), (FIRST, True)])
async def test_a_run_whose_caller_cannot_come_back_ends_at_once(
    host: FakeHost, going_on: asyncio.Event, headers: dict[str, str], stream: bool
) -> None:
    """A client that counts its attempts makes no other once a stream has begun."""
    async with served(host, settings(caller_grace_seconds=60)) as client:
        request = client.build_request("POST", CHAT, json=HELLO | {"stream": stream}, headers=headers)
        if stream:
            answer = await client.send(request, stream=True)
            await answer.aclose()
        else:
            await hang_up(client, host, headers)
        await until(lambda: host.left)


# Keys


@pytest.mark.usefixtures("keys")
async def test_two_at_once_with_a_key_are_one_run(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    asking = [asyncio.create_task(ask(client, KEY)) for _ in range(3)]
    await until(lambda: host.inline_runs)
    going_on.set()
    answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(host.inline_runs) == 1


@pytest.mark.usefixtures("keys")
async def test_the_same_key_gets_the_same_answer_streamed_or_not(client: httpx.AsyncClient, host: FakeHost) -> None:
    first = await ask(client, KEY)
    whole = await ask(client, KEY)
    stream = await ask(client, KEY, stream=True)
    assert first.json()["choices"] == whole.json()["choices"]
    assert text_of(read_chunks(stream.text)) == first.json()["choices"][0]["message"]["content"]
    assert {answer.headers["x-flow-run-id"] for answer in (first, whole, stream)} == {str(host.left[0])}
    assert len(host.inline_runs) == 1


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("first", [{}, {"stream": True}])
async def test_a_key_of_another_request_is_refused(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event, first: dict[str, Any]
) -> None:
    asking = asyncio.create_task(ask(client, KEY, **first))
    await until(lambda: host.inline_runs)
    refused = [await ask(client, KEY, temperature=1)]
    going_on.set()
    await asking
    refused.append(await ask(client, KEY, temperature=1))
    assert [answer.status_code for answer in refused] == [400, 400]
    assert {answer.json()["error"]["code"] for answer in refused} == {"idempotency_key_reused"}
    assert len(host.inline_runs) == 1


@pytest.mark.usefixtures("keys")
async def test_another_key_is_another_run(client: httpx.AsyncClient, host: FakeHost) -> None:
    for key in ("a", "b", "", "ä" * 5000):
        assert (await ask(client, {b"Idempotency-Key": key.encode()})).status_code == 200  # type: ignore[dict-item]
    assert len(host.inline_runs) == 4


@pytest.mark.usefixtures("keys")
async def test_a_bad_ending_is_an_answer_too(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.outcome = Outcome(result=result(), error="exit 1")
    answers = [await ask(client, KEY) for _ in range(2)]
    assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [(503, "exit 1")] * 2
    assert len(host.inline_runs) == 1


@pytest.mark.usefixtures("keys")
async def test_what_never_started_leaves_the_key_free(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.failure = AgentBusy()
    assert (await ask(client, KEY)).status_code == 503
    host.failure, host.outcome = None, Outcome(error="claude could not be started")
    assert (await ask(client, KEY)).status_code == 503
    host.outcome = FakeHost(host.state_dir).outcome
    assert (await ask(client, KEY)).status_code == 200
    assert len(host.inline_runs) == 2


@pytest.mark.usefixtures("keys")
async def test_who_comes_back_with_the_key_in_time_joins_also_in_the_middle_of_a_stream(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    async with client.stream("POST", CHAT, json=HELLO | {"stream": True}, headers=KEY) as answer:
        assert answer.status_code == 200
    again = asyncio.create_task(ask(client, KEY, stream=True))
    await asyncio.sleep(0.6)
    assert host.left == []
    going_on.set()
    assert text_of(read_chunks((await again).text)) == "done"
    assert len(host.inline_runs) == 1


@pytest.mark.usefixtures("keys")
async def test_who_comes_back_with_the_key_too_late_has_a_new_run(
    client: httpx.AsyncClient, host: FakeHost, going_on: asyncio.Event
) -> None:
    await hang_up(client, host, KEY)
    await until(lambda: host.left)
    going_on.set()
    assert (await ask(client, KEY)).status_code == 200
    assert len(host.inline_runs) == 2


# Another host on the same store


@pytest.fixture
def other_host(host: FakeHost, tmp_path: Path, keys: None) -> FakeHost:
    other = FakeHost(tmp_path / "other", flow_runs=host.flow_runs, outcomes=host.outcomes)
    other.store = host.store
    return other


async def test_a_key_joins_at_another_host_and_hears_what_was_said(
    client: httpx.AsyncClient, host: FakeHost, other_host: FakeHost, going_on: asyncio.Event
) -> None:
    first = asyncio.create_task(ask(client, KEY))
    await until(lambda: host.inline_runs)
    [run_id] = host.flow_runs
    for event in (STARTED, Said(text="One moment.")):
        host.store.journal.append(run_id, event.type, event.model_dump_json())
    host.store.journal.append(run_id, "unheard of", "{}")
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        served(other_host) as other,
        other.stream("POST", CHAT, json=HELLO | {"stream": True}, headers=KEY) as second,
    ):
        heard = ""
        async for text in second.aiter_text():
            heard += text
            if "One moment." in heard:
                going_on.set()
    assert text_of(read_chunks(heard)) == "One moment.\n\ndone"
    assert {answer.headers["x-flow-run-id"] for answer in (await first, second)} == {str(run_id)}
    assert other_host.inline_runs == []


async def test_a_key_gets_its_answer_at_another_host(
    client: httpx.AsyncClient, host: FakeHost, other_host: FakeHost
) -> None:
    first = await ask(client, KEY)
    async with served(other_host) as other:
        second = await ask(other, KEY)
        assert (await ask(other, KEY, temperature=1)).status_code == 400
    assert json.loads(first.text)["id"] == json.loads(second.text)["id"]


async def test_a_run_goes_on_for_a_caller_who_came_back_to_another_host(
    client: httpx.AsyncClient,
    host: FakeHost,
    other_host: FakeHost,
    going_on: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call, "PRESENCE_POLL_SECONDS", 0.1)
    async with served(other_host, settings(caller_grace_seconds=0)) as other:
        # to serve takes its time, and the first host's grace is short
        await hang_up(client, host, KEY)
        second = asyncio.create_task(ask(other, KEY))
        await asyncio.sleep(1.5)
        assert host.left == []
        second.cancel()
        await until(lambda: host.left)
    assert len(host.inline_runs) == 1


async def test_one_that_says_nothing_any_more_is_not_waited_for(
    client: httpx.AsyncClient, host: FakeHost, keys: None, going_on: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "PRESENCE_POLL_SECONDS", 0.1)
    monkeypatch.setattr(attendance, "EXPIRES_AFTER", attendance.EXPIRES_AFTER / 10)
    asking = asyncio.create_task(ask(client, KEY))
    await until(lambda: host.inline_runs)
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        attendance.Presence(host.store.journal, *host.flow_runs).announce(),
    ):
        asking.cancel()
        await until(lambda: host.left)


async def test_a_run_that_vanished_is_told_so_and_not_done_again(
    client: httpx.AsyncClient, host: FakeHost, other_host: FakeHost, going_on: asyncio.Event
) -> None:
    asking = asyncio.create_task(ask(client, KEY))
    await until(lambda: host.inline_runs)
    host.flow_runs.clear()
    async with served(other_host) as other:
        answer = await ask(other, KEY)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    asking.cancel()
    await asyncio.wait([asking])
