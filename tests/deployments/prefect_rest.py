"""Two ways to a Prefect server: its REST API, noted call by call, and the clients that a host holds open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx
from prefect.context import AsyncClientContext, SyncClientContext


@dataclass
class PrefectRest:
    """Prefect's REST API, with a note of how the calls went."""

    client: httpx.AsyncClient
    refused: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        started = monotonic()
        response = await self.client.request(method, path, json=body)
        self.slowest_seconds = max(self.slowest_seconds, monotonic() - started)
        if response.is_error:
            self.refused.append(f"{method} {path}: {response.status_code} {response.text[:300]}")
        is_json = response.headers.get("content-type") == "application/json"
        return response.json() if is_json and response.content else None


@asynccontextmanager
async def held_clients() -> AsyncIterator[None]:
    """What a host does around its runs; without it each run leaves sockets to the garbage collector."""
    with SyncClientContext():
        async with AsyncClientContext():
            yield
