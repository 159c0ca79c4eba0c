"""Connections without a request are few and short, whoever makes them."""

import asyncio

import pytest
from fake_host import FakeHost
from wire import DEADLINE_SECONDS, HELLO, served, streamed, until

from agent.domain.events import Started, TextDelta
from api.http import connections

HALF = b"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Le"
HALF_BODY = b"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


async def closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection is closed."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(("sent", "begin"), [(b"", b""), (HALF, b""), (HALF_BODY, b"HTTP/1.1 401")])
async def test_a_half_request_is_not_waited_for(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, sent: bytes, begin: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(connections, "REST_SECONDS", 0.1)
    async with served(host) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(sent)
        assert (await closed(reader))[: len(begin)] == begin
        writer.close()


async def test_a_request_that_drips_in_has_no_more_time(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    async with served(host) as client, asyncio.timeout(DEADLINE_SECONDS):
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        reading = asyncio.create_task(closed(reader))
        while not reading.done():
            writer.write(b"G")
            await asyncio.sleep(0.02)
        writer.close()


async def test_of_many_without_a_request_the_oldest_make_room(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_IDLE", 5)
    going_on = asyncio.Event()
    host.events = [Started(session_id="s", model="m"), going_on, TextDelta(text="late")]
    async with served(host) as client, streamed(client) as answer:
        crowd = [await asyncio.open_connection(client.base_url.host, client.base_url.port) for _ in range(20)]
        for _, writer in crowd:
            writer.write(HALF)
        await until(lambda: sum(reader.at_eof() for reader, _ in crowd) >= 14)
        assert (await client.get("/health")).status_code == 200
        assert not crowd[-1][0].at_eof()
        going_on.set()
        assert "late" in (await answer.aread()).decode()
        for _, writer in crowd:
            writer.close()


async def test_an_offer_of_http_2_is_answered_in_http_1(host: FakeHost) -> None:
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    websocket = {"connection": "upgrade", "upgrade": "websocket"}
    async with served(host) as client:
        for _ in range(2):
            answer = await client.post("/v1/chat/completions", json=HELLO, headers=offer)
            assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")
        assert (await client.get("/health", headers=websocket)).status_code == 200
