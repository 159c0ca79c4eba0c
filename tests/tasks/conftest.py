"""A triage without Prefect: a real store, a runtime over a real git remote, and agents that end as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pretend_agents import PretendAgents

from agent.runtime import Runtime
from agent.settings import AgentSettings
from demo.repository import create_repository
from store.store import Store, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite3") as opened:
        yield opened


@pytest.fixture
def agents(store: Store) -> PretendAgents:
    return PretendAgents(store)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """The demo's repository, as a git remote."""
    return create_repository(tmp_path / "repository")


@pytest.fixture
def runtime(tmp_path: Path, origin: Path) -> Runtime:
    settings = AgentSettings(
        state_dir=tmp_path / "state", workspace_dir=str(origin), agent_capacity=1, fetch_debounce_seconds=0
    )
    return Runtime(settings)
