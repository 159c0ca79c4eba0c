"""Long runs show how far they are, at no cost to themselves."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from agent.domain.events import ModelAnswered, ToolCalled
from agent.domain.request import AgentRequest
from agent.domain.result import Usage
from tasks import progress_artifact as live
from tasks.agent_run.progress import AgentProgress
from tasks.progress_artifact import Progress, shown_live


class Prefect:
    """Takes progress artifacts, or does not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[str | None] = []
        self.fails = False
        self.hangs = False
        self.told = asyncio.Event()
        monkeypatch.setattr(live, "acreate_progress_artifact", self.create)
        monkeypatch.setattr(live, "aupdate_progress_artifact", self.update)

    async def create(self, progress: float, description: str | None = None) -> UUID:
        await self.update(uuid4(), progress, description)
        return uuid4()

    async def update(self, artifact_id: UUID, progress: float, description: str | None = None) -> None:
        self.shown.append(description)
        self.told.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise RuntimeError("Prefect is away")


@pytest.fixture
async def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    return Prefect(monkeypatch)


async def test_a_short_run_shows_nothing(prefect: Prefect) -> None:
    async with shown_live(lambda: Progress(percent=1, text="a")):
        await asyncio.sleep(0)
    assert prefect.shown == []


async def test_a_long_run_shows_what_has_changed_and_at_last_how_far_it_came(prefect: Prefect) -> None:
    said = "a"
    async with shown_live(lambda: Progress(percent=1, text=said), after_seconds=0, every_seconds=0.001):
        await prefect.told.wait()
        await asyncio.sleep(0.02)  # nothing has changed in all that time
        said = "b"
    await asyncio.gather(*live._last)
    assert prefect.shown == ["a", "b"]


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_prefect_that_does_not_take_it_neither_fails_a_run_nor_holds_it(prefect: Prefect, trouble: Any) -> None:
    setattr(prefect, trouble, True)
    async with asyncio.timeout(2):
        async with shown_live(lambda: Progress(percent=1, text="a"), after_seconds=0, every_seconds=0.001):
            await prefect.told.wait()


async def test_an_agent_s_progress_is_its_time_its_turns_and_its_last_step() -> None:
    progress = AgentProgress(AgentRequest(agent="a", prompt="x", timeout_seconds=600))
    progress.sink(ModelAnswered(usage=Usage(output_tokens=1200)))
    progress.sink(ModelAnswered(usage=Usage(output_tokens=34), by_subagent=True))
    progress.sink(ToolCalled(id="1", name="Bash", input={"command": "make test\n![x](http://e.example)"}))
    shown = progress.look()
    assert shown.text.startswith("0:00 of 10:00 minutes, 1 turns, 1,234 tokens out. Last: → Bash make test")
    assert "![x](" not in shown.text
    assert shown.percent == 0
