"""One embedded Prefect server for all tests of this folder."""

import os
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from prefect.settings import temporary_settings
from prefect_rest import PrefectRest

from deployments.standalone.prefect_environment import client_environment
from deployments.standalone.prefect_server import PrefectServer, start_server

# the vacuum runs all the time, as one more writer
OPERATORS = {"PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "1"}


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """It is also held to its end: once whoever started it has gone, soon, and with status 0."""
    with start_server(tmp_path_factory.mktemp("state"), inherited={**os.environ, **OPERATORS}) as server:
        yield server
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(15) == 0


@pytest.fixture
def prefect_settings(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have flows of this process run against the server."""
    home = tmp_path_factory.getbasetemp() / "prefect-client"
    environment = client_environment(prefect_server.api_url, prefect_server.auth_string, home)
    settings = {name: value for name, value in environment.items() if name.startswith("PREFECT_")}
    # what is still to be sent when the server ends would be complained about
    with temporary_settings(settings | {"PREFECT_LOGGING_TO_API_ENABLED": False}):
        yield


@pytest.fixture
async def rest(prefect_server: PrefectServer) -> AsyncIterator[PrefectRest]:
    user, password = prefect_server.auth_string.split(":", 1)
    async with httpx.AsyncClient(
        base_url=prefect_server.api_url, auth=(user, password), timeout=50, trust_env=False
    ) as client:
        yield PrefectRest(client)
