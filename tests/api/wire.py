"""The application behind a real server, and callers of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fake_host import TOKEN, FakeHost, app_of

from api.http.connections import server_config
from api.settings import ApiSettings

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
DEADLINE_SECONDS = 10


@asynccontextmanager
async def served(host: FakeHost, api_settings: ApiSettings | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the application behind a real uvicorn."""
    app = app_of(host, api_settings)
    server = uvicorn.Server(server_config(app, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            async with httpx.AsyncClient(
                base_url=url, headers=headers, timeout=DEADLINE_SECONDS, verify=False
            ) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


def streamed(client: httpx.AsyncClient) -> AbstractAsyncContextManager[httpx.Response]:
    return client.stream("POST", "/v1/chat/completions", json=HELLO | {"stream": True})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)
