"""A fake host, and a caller in front of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fake_host import FakeHost, client_of


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.fixture
async def client(host: FakeHost) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(host) as client:
        yield client
