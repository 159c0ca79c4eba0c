"""What only a real server shows: callers who hang up, and uploads that are refused halfway."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import httpx
import uvicorn
from fake_host import TOKEN, FakeHost, settings

from api.app import create_app
from api.settings import ApiSettings
from deployments.host import Host

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
DEADLINE_SECONDS = 10


@asynccontextmanager
async def served(host: FakeHost, api_settings: ApiSettings | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the application behind a real uvicorn."""
    app = create_app(cast(Host, host), api_settings or settings())
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=DEADLINE_SECONDS) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


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

    host.inline = stand_in_line  # type: ignore[assignment, method-assign]
    async with served(host) as client, asyncio.timeout(DEADLINE_SECONDS):
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=HELLO))
        await entered.wait()
        asking.cancel()
        await left.wait()


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
