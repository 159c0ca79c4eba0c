"""What only a real server shows: callers who hang up, and uploads that are refused halfway."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fake_host import TOKEN, FakeHost, settings
from wire import DEADLINE_SECONDS, HELLO, served, streamed, until

from agent.domain.events import Started, TextDelta
from api.openai import stream as chat_stream

STARTED = Started(session_id="s", model="m")


async def test_a_chat_caller_who_hangs_up_leaves_the_run(host: FakeHost) -> None:
    host.outcome = None
    async with served(host) as client:
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=HELLO))
        await until(lambda: host.inline_runs)
        assert host.left == []
        asking.cancel()
        await until(lambda: host.left)
        assert (await client.get("/health")).status_code == 200


async def test_one_who_hangs_up_in_the_line_leaves_the_line(host: FakeHost) -> None:
    entered = asyncio.Event()
    left = asyncio.Event()

    @asynccontextmanager
    async def stand_in_line(*_: object, **__: object) -> AsyncIterator[None]:
        entered.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            left.set()

    host.inline.start = stand_in_line
    async with served(host) as client, asyncio.timeout(DEADLINE_SECONDS):
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=HELLO))
        await entered.wait()
        asking.cancel()
        await left.wait()


async def test_a_word_is_on_the_wire_while_the_agent_goes_on(host: FakeHost) -> None:
    going_on = asyncio.Event()
    host.events = [STARTED, TextDelta(text="first"), going_on, TextDelta(text=" second")]
    async with asyncio.timeout(DEADLINE_SECONDS), served(host) as client, streamed(client) as answer:
        lines = answer.aiter_lines()
        assert [line async for line in taking(lines, 4)][2].count("first") == 1
        going_on.set()
        assert [line async for line in lines][-2:] == ["data: [DONE]", ""]


async def test_silence_is_filled_with_chunks_that_say_nothing(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_stream, "SILENCE_SECONDS", 0.05)
    host.events = [STARTED, going_on := asyncio.Event()]
    async with asyncio.timeout(DEADLINE_SECONDS), served(host) as client, streamed(client) as answer:
        lines = answer.aiter_lines()
        first = [line async for line in taking(lines, 6)]
        going_on.set()
        rest = [line async for line in lines]
    assert first[3] == first[5] == ""
    for line in (first[2], first[4]):
        chunk = json.loads(line.removeprefix("data: "))
        assert [(one["delta"], one["finish_reason"]) for one in chunk["choices"]] == [({}, None)]
    assert not any(line.startswith(":") for line in rest)
    assert rest[-2] == "data: [DONE]"


async def test_the_headers_wait_for_a_slot_and_not_for_the_agent(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_stream, "OPENING_SECONDS", 0.05)
    host.events = [asyncio.Event()]
    async with asyncio.timeout(DEADLINE_SECONDS), served(host) as client, streamed(client) as answer:
        assert answer.status_code == 200
        assert answer.headers["x-flow-run-id"]


async def test_a_caller_who_hangs_up_in_the_middle_of_a_stream_leaves_the_run(host: FakeHost) -> None:
    host.events = [STARTED, TextDelta(text="first"), asyncio.Event()]
    async with served(host) as client:
        async with streamed(client) as answer:
            assert answer.status_code == 200
            assert host.left == []
        await until(lambda: host.left)
        assert (await client.get("/health")).status_code == 200


async def taking(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    """The first so many lines; the rest stays where it is."""
    for _ in range(count):
        yield await anext(lines)


async def test_a_large_upload_with_a_wrong_token_is_told_so(host: FakeHost) -> None:
    async with served(host) as client:
        for _ in range(3):
            answer = await client.post("/execute", content=b" " * 5_000_000, headers={"authorization": "Bearer x"})
            assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token"})
        assert (await client.get("/health")).status_code == 200


async def test_a_token_that_is_not_ascii_is_told_so(host: FakeHost) -> None:
    async with served(host) as client:
        for value in ("Bearer ü".encode(), "Bearer ü".encode("latin-1"), b"Bearer \x80\xff"):
            answer = await client.get("/jobs/x", headers={b"authorization": value})  # type: ignore[dict-item]
            assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token"})


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 65_536


async def test_an_upload_past_the_bound_is_told_so_and_the_connection_lives_on(host: FakeHost) -> None:
    async with served(host, settings(max_request_bytes=1_000_000)) as client:
        for content in (chunks(80), b" " * 5_000_000, chunks(80)):
            answer = await client.post("/execute", content=content)
            assert (answer.status_code, list(answer.json())) == (413, ["detail"])
        assert (await client.get("/health")).status_code == 200


async def test_the_service_stays_up_for_callers_who_leave_in_the_middle_of_a_body(host: FakeHost) -> None:
    async with served(host) as client:
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        head = f"POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n"
        writer.write(head.encode() + b'{"prompt":')
        await writer.drain()
        writer.close()
        assert (await client.get("/health")).status_code == 200
    assert host.submitted == []
