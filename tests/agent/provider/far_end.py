"""A provider that answers byte by byte, as a test wants it to, and a proxy in front of it."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from agent.claude.installation import find_cli
from agent.domain.result import Usage
from agent.provider.proxy import ProviderProxy
from agent.settings import AgentSettings

CLAUDE = find_cli(AgentSettings())
KEY = "sk-the-true-key"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

START = {
    "type": "message_start",
    "message": {"model": "claude-m", "usage": {"input_tokens": 7, "cache_read_input_tokens": 5, "output_tokens": 1}},
}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'say "usage"'}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 42}}
USED = Usage(input_tokens=7, cache_read_input_tokens=5, output_tokens=42)

Answer = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request at the far end, and the means to answer it byte by byte."""

    def __init__(self, head: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line, *lines = head.split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        self.body = body
        self.reader = reader
        self.writer = writer

    async def start(self, status: int, **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([f"HTTP/1.1 {status} X", *lines, "transfer-encoding: chunked\r\n\r\n"]).encode())
        await self.writer.drain()

    async def chunk(self, content: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(content), content))
        await self.writer.drain()

    async def event(self, *events: dict[str, Any]) -> None:
        for event in events:
            await self.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def answer(self, status: int, body: bytes, **headers: str) -> None:
        await self.start(status, **headers)
        await self.chunk(body)
        await self.end()


class Provider:
    """A far end that answers each request as `answer` does, and keeps what came in."""

    def __init__(self) -> None:
        self.answer: Answer = greet
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((line.split()[1] for line in head.split("\r\n") if "content-length" in line.lower()), "0")
                exchange = Exchange(head, await reader.readexactly(int(length)), reader, writer)
                self.exchanges.append(exchange)
                await self.answer(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def greet(exchange: Exchange) -> None:
    await exchange.start(200, content_type="text/event-stream", request_id="req_1")
    await exchange.event(START, DELTA, END, {"type": "message_stop"})
    await exchange.end()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield provider


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[ProviderProxy]:
    credential = {"anthropic_api_key": KEY} if "oauth" not in options else {"claude_code_oauth_token": KEY}
    options.pop("oauth", None)
    options.setdefault("settings", {})
    with tempfile.TemporaryDirectory() as state_dir:
        given = {"anthropic_base_url": url, "agent_models": ["claude-m"], "state_dir": state_dir, **credential}
        settings = AgentSettings.model_validate(given | options.pop("settings"))
        async with ProviderProxy(settings, **options) as proxy:
            yield proxy


@pytest.fixture
async def proxy(provider: Provider) -> AsyncIterator[ProviderProxy]:
    async with opened(provider.url) as proxy:
        yield proxy


@asynccontextmanager
async def client(proxy: ProviderProxy, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, headers={"x-api-key": token}, timeout=10, verify=False) as client:
        yield client


async def ask(proxy: ProviderProxy, token: str, path: str = "/v1/messages?beta=true", **options: Any) -> httpx.Response:
    async with client(proxy, token) as http:
        return await http.post(path, **({"json": {"model": "claude-m"}} | options))


async def until(condition: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
        return
    raise AssertionError(what)


def error(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
