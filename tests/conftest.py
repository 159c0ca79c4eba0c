"""Real parts, each started once: the offline model, and the whole service in processes of its own."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest

from demo.model import OfflineModel
from demo.stage import Stage, set_stage


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def offline_model() -> Iterator[OfflineModel]:
    with OfflineModel() as model:
        yield model


@pytest.fixture(scope="session")
def stage(offline_model: OfflineModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """`agent-service up`, as an operator starts it: Prefect's server, a host, and the demo's repository."""
    with set_stage(tmp_path_factory.mktemp("stage"), offline_model.url, {"AGENT_CAPACITY": "4"}) as stage:
        yield stage


@dataclass
class Service:
    """The running service as a caller sees it."""

    stage: Stage
    model: OfflineModel
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        return self.stage.url

    @property
    def token(self) -> str:
        return self.stage.token

    def prefect(self) -> httpx.AsyncClient:
        """Prefect's own API, with its password."""
        user, password = self.stage.prefect_auth.split(":", 1)
        return httpx.AsyncClient(base_url=f"{self.stage.prefect_url}/api", auth=(user, password), timeout=30)


@pytest.fixture
async def service(stage: Stage, offline_model: OfflineModel) -> AsyncIterator[Service]:
    offline_model.reset()
    headers = {"Authorization": f"Bearer {stage.token}"}
    async with httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=60) as client:
        yield Service(stage, offline_model, client)
