"""Processes that have started before anybody asks: the real CLI, in cells where there are some."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import psutil
import pytest
from one_turn import start_turn
from waiting import until

from agent.claude.installation import find_cli
from agent.claude.process_spec import ProcessSpec
from agent.claude.result_message import read_result
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult
from agent.provider.proxy import ProviderProxy
from agent.runtime import Runtime
from agent.sandbox.probe import probe_sandbox
from agent.settings import AgentSettings
from demo.offline_model.model import OfflineModel
from demo.repository import git

pytestmark = pytest.mark.anyio

HOT = ProcessSpec(agent="service-upgrade", max_budget_usd=5)
FIERY = "---\nname: fiery\ndescription: x\nmodel: haiku\ntools: Read, Bash\n---\nYou are fiery.\n"


@dataclass
class Host:
    """A runtime with its pool, asked for runs as a flow asks."""

    runtime: Runtime
    model: OfflineModel
    repository: Path
    runs: int = 0
    seen: list[int] = field(default_factory=list)

    async def ask(self, prompt: str = 'offline-model: {"text": "yes"}', **fields: object) -> AgentResult:
        """One run from its slot to its end."""
        self.runs += 1
        run_id = f"11111111-2222-3333-4444-{self.runs:012}"
        request = AgentRequest.model_validate({"prompt": prompt, "agent": "service-upgrade", **fields})
        warm = self.runtime.warm
        slot = await self.runtime.slots.acquire(5, warm.preference(request))
        try:
            checkout = await self.runtime.prepare(slot, request, run_id, allow_stale=False)
            async with start_turn(self.runtime, run_id, request, slot, checkout) as turn:
                self.seen = [process.pid for process in agents()]
                result = read_result(request, await turn.run(request.prompt))
            await self.runtime.collect(slot, checkout, run_id)
        finally:
            self.runtime.slots.release(slot)
        return result

    def push(self, path: str, text: str) -> None:
        """Have the remote move on by one file."""
        work = self.repository.parent / "work"
        if not work.exists():
            git(work.parent, "clone", "--quiet", str(self.repository), str(work))
        (work / path).write_text(text)
        git(work, "add", ".")
        git(work, "commit", "--quiet", "--message=More")
        git(work, "push", "--quiet")

    async def full(self, count: int = 2) -> None:
        """Return once so many wait, wide awake."""
        states = self.runtime.warm._states
        await until(
            lambda: len(states.processes) == count and all(process.is_ready for process in states.processes),
            "a full pool",
            30,
        )


def agents() -> list[psutil.Process]:
    """The CLI's processes that this one has started, and no service of other tests."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            above = [parent.name() for parent in takewhile(lambda one: one.pid != os.getpid(), process.parents())]
            if process.name().startswith("claude") and not any(name.startswith("python") for name in above):
                found.append(process)
    return found


@pytest.fixture
def settings(settings: AgentSettings, offline_model: OfflineModel) -> AgentSettings:
    offline_model.reset()
    return settings.model_copy(update={"agent_capacity": 2, "agent_warm": 2, "fetch_debounce_seconds": 0})


async def serve(settings: AgentSettings, model: OfflineModel) -> AsyncIterator[Host]:
    async with ProviderProxy(settings) as proxy:
        runtime = Runtime(settings, proxy)
        await runtime.open()
        host = Host(runtime, model, Path(str(settings.workspace_dir)))
        spare = HOT.model_copy(update={"agent": "any"})
        async with runtime.warm.filling(always=[HOT], spare=spare):
            yield host
    assert agents() == []
    assert not (settings.state_dir / "warm").exists() or list((settings.state_dir / "warm").iterdir()) == []


@pytest.fixture
async def host(settings: AgentSettings, offline_model: OfflineModel) -> AsyncIterator[Host]:
    async for host in serve(settings, offline_model):
        yield host


@pytest.fixture
async def small_host(settings: AgentSettings, offline_model: OfflineModel) -> AsyncIterator[Host]:
    """One with a single process that waits."""
    async for host in serve(settings.model_copy(update={"agent_warm": 1}), offline_model):
        yield host


async def test_a_hot_process_answers_and_another_takes_its_place(host: Host) -> None:
    await host.full()
    waiting = {process.pid for process in agents()}
    assert host.model.requests == []  # whatever it did to be ready, nobody was called for it
    result = await host.ask(
        instructions="Answer in rhyme.", json_schema={"type": "object"}, prompt=structured({"n": 1})
    )
    assert result.structured == {"n": 1}
    assert "Answer in rhyme." in host.model.conversations[-1].system
    assert set(host.seen) == waiting
    assert (host.runtime.warm.counters.hits, host.runtime.warm.counters.misses) == (1, 0)
    await host.full()
    replaced = {process.pid for process in agents()}
    assert len(replaced - waiting) == 1
    assert (await host.ask()).text == "yes"
    assert set(host.seen) == replaced


async def test_a_spare_becomes_any_agent_with_the_model_and_the_tools_of_its_file(host: Host) -> None:
    host.push(".claude/agents/fiery.md", FIERY)
    await host.full()
    assert (await host.ask(agent="fiery")).text == "yes"
    assert host.runtime.warm.counters.hits == 1
    body = host.model.message_requests[-1].body
    assert "haiku" in body["model"]
    assert {"Read", "Bash"} <= {tool["name"] for tool in body["tools"]} <= {"Read", "Bash", "DeferredToolPlaceholder"}
    assert "You are fiery." in host.model.conversations[-1].system
    assert (await host.ask(agent="fiery", model="sonnet")).text == "yes"
    assert "sonnet" in host.model.message_requests[-1].body["model"]


async def test_what_has_moved_since_is_what_the_agent_reads(small_host: Host) -> None:
    host = small_host
    await host.full(1)
    host.push("CLAUDE.md", "The word of the day is heron.\n")
    assert (await host.ask()).text == "yes"
    assert "heron" in json.dumps(host.model.message_requests[-1].body)


async def test_processes_that_are_killed_while_they_wait_cost_no_answer(host: Host) -> None:
    await host.full()
    for process in agents():
        os.kill(process.pid, signal.SIGKILL)
    assert (await host.ask()).text == "yes"
    assert (await host.ask(agent="recruiter-triage")).text == "yes"


@pytest.mark.long
async def test_another_budget_has_a_process_of_its_own(host: Host) -> None:
    await host.full()
    assert (await host.ask(max_budget_usd=1)).text == "yes"
    assert (host.runtime.warm.counters.hits, host.runtime.warm.counters.misses) == (0, 1)


async def test_an_agent_that_there_is_not_is_named_and_nothing_is_made_ready_for_it(small_host: Host) -> None:
    host = small_host
    await host.full(1)
    with pytest.raises(Exception, match="nobody"):
        await host.ask(agent="nobody")
    assert all(spec.agent != "nobody" for spec in host.runtime.warm.demand.recent())
    assert (await host.ask()).text == "yes"


@pytest.mark.parametrize(
    "how",
    [
        'for word; do [ "$word" = --await-claim ] && { echo "unknown option --await-claim" >&2; exit 1; }; done',
        pytest.param('for word; do [ "$word" = --await-claim ] && sleep 600; done', marks=pytest.mark.long),
    ],
    ids=["refuses the flag", "falls silent"],
)
async def test_a_cli_that_knows_no_spares_is_started_as_ever(
    how: str, settings: AgentSettings, offline_model: OfflineModel, tmp_path: Path
) -> None:
    cli = tmp_path / "claude"
    cli.write_text(f'#!/bin/bash\n{how}\nexec {find_cli(settings)} "$@"\n')
    cli.chmod(0o755)
    broken = settings.model_copy(update={"claude_cli": cli, "agent_read_paths": [find_cli(settings)]})
    async for host in serve(broken, offline_model):
        for _ in range(2):
            assert (await host.ask(agent="recruiter-triage")).text == "yes"


async def test_none_is_kept_where_none_is_wanted(settings: AgentSettings, offline_model: OfflineModel) -> None:
    async for host in serve(settings.model_copy(update={"agent_warm": 0}), offline_model):
        assert (await host.ask()).text == "yes"
        assert (agents(), host.runtime.warm.idle) == ([], 0)


def structured(answer: dict[str, object]) -> str:
    return f"offline-model: {json.dumps([{'structured': answer}])}"


async def test_a_process_that_waited_has_the_way_out_of_its_run(
    settings: AgentSettings, offline_model: OfflineModel, caplog: pytest.LogCaptureFixture
) -> None:
    if probe_sandbox("auto").bubblewrap is None:
        pytest.skip("needs bubblewrap")
    listed = settings.model_copy(update={"agent_network": "allow", "agent_egress_allow": ["example.com"]})
    async for host in serve(listed, offline_model):
        await host.full()
        steps = [{"tool": "Bash", "input": {"command": "curl -sS http://other.test/"}}, {"text": "{tool_result}"}]
        result = await host.ask(f"offline-model: {json.dumps(steps)}")
        assert host.runtime.warm.counters.hits == 1
        assert "not in AGENT_EGRESS_ALLOW" in str(result.text)
    assert f"run 11111111-2222-3333-4444-{1:012}: other.test:80 was refused" in caplog.text


async def test_a_run_without_network_has_the_model_alone_and_the_tools_that_it_lists(
    settings: AgentSettings, offline_model: OfflineModel
) -> None:
    if probe_sandbox("auto").bubblewrap is None:
        pytest.skip("needs bubblewrap")
    command = 'echo > /dev/tcp/$(echo "$ANTHROPIC_BASE_URL" | sed "s#http://##; s#:#/#"); echo ended with $?'
    steps = [{"tool": "Bash", "input": {"command": command}}, {"text": "{tool_result}"}]
    async for host in serve(settings.model_copy(update={"agent_warm": 0}), offline_model):
        reached = await host.ask(f"offline-model: {json.dumps(steps)}")
        assert "ended with 0" in str(reached.text)
        refused = await host.ask(f"offline-model: {json.dumps(steps)}", network="none", tools=["Bash"])
        assert "ended with 1" in str(refused.text)
        assert set(host.model.conversations[-1].tools) - {"DeferredToolPlaceholder"} == {"Bash"}
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        judged = await host.ask(structured({"n": 1}), tools=["Read", "Glob", "Grep"], json_schema=schema)
        assert judged.structured == {"n": 1}
