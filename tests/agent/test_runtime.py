"""The runtime whole: a slot, a checkout, a cell where there is one, and the real CLI."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
from one_turn import start_turn

from agent.claude.result_message import read_result
from agent.domain.errors import NotConfigured, RequestRefused, WorkspaceError
from agent.domain.events import Event, Said
from agent.domain.request import AgentRequest
from agent.runtime import Runtime
from agent.sandbox.run_directory import RunFiles, private_directory
from agent.settings import AgentSettings

pytestmark = pytest.mark.anyio

# Ends by itself, whatever holds it.
CROWD = """
import os, signal
signal.alarm(20)
children = []
try:
    for _ in range(300):
        child = os.fork()
        if not child:
            signal.alarm(20)
            signal.pause()
        children.append(child)
    word = "no limit"
except OSError as error:
    word = type(error).__name__
for child in children:
    os.kill(child, signal.SIGKILL)
print(word)
"""
RUN = "11111111-2222-3333-4444-555555555555"


async def run(settings: AgentSettings, prompt: str, **fields: object) -> tuple[str | None, list[Event]]:
    """The answer of one run, and its events."""
    request = AgentRequest.model_validate({"prompt": prompt, "agent": "service-upgrade", **fields})
    runtime, events = Runtime(settings), []
    await runtime.open()
    slot = await runtime.slots.acquire()
    checkout = await runtime.prepare(slot, request, RUN, allow_stale=False)
    async with start_turn(runtime, RUN, request, slot, checkout, events.append) as turn:
        result = read_result(request, await turn.run(request.prompt))
    report = await runtime.collect(slot, checkout, RUN)
    assert report.commit == checkout.snapshot.commit
    return result.text, events


def bash(command: str) -> str:
    steps = [{"tool": "Bash", "input": {"command": command}}, {"text": "{tool_result}"}]
    return f"offline-model: {json.dumps(steps)}"


@pytest.mark.long
@pytest.mark.parametrize(
    "agent", ["service-upgrade", ".claude/agents/service-upgrade", ".claude/agents/service-upgrade.md"]
)
async def test_a_name_and_a_path_mean_the_same_agent(settings: AgentSettings, agent: str) -> None:
    text, events = await run(settings, 'offline-model: {"text": "it is me"}', agent=agent)
    assert (text, [event.text for event in events if isinstance(event, Said)]) == ("it is me", ["it is me"])


async def test_nothing_of_a_run_is_left_but_its_checkout(settings: AgentSettings) -> None:
    await run(settings, bash("echo secret > ~/note; echo more > /tmp/note; ls"))
    assert list((settings.state_dir / "runs").iterdir()) == []


@pytest.mark.parametrize("sandbox", ["auto", "off"])
async def test_an_agents_environment_is_built_and_not_inherited(
    settings: AgentSettings, sandbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_BEARER_TOKEN", "PREFECT_API_AUTH_STRING", "DATABASE_URL", "GH_TOKEN", "UNKNOWN_SECRET"):
        monkeypatch.setenv(name, f"value of {name}")
    changed = {"agent_sandbox": sandbox, "agent_env_allow": ["GH_TOKEN"]}
    text, _ = await run(
        settings.model_copy(update=changed), bash("env; test \"$GH_TOKEN\" = 'value of GH_TOKEN' && echo same=1")
    )
    variables = dict(line.split("=", 1) for line in (text or "").splitlines() if "=" in line)
    assert variables["same"] == "1"
    assert variables["GH_TOKEN"] == "[redacted]", "what the agent may use it still does not tell"
    assert not {"API_BEARER_TOKEN", "PREFECT_API_AUTH_STRING", "DATABASE_URL", "UNKNOWN_SECRET"} & set(variables)
    assert variables["HOME"] != os.environ["HOME"]


async def test_without_a_credential_a_run_fails_at_once_and_says_what_to_set(settings: AgentSettings) -> None:
    with pytest.raises(NotConfigured, match=r"ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN.*make demo"):
        await run(settings.model_copy(update={"anthropic_api_key": None}), "hi")


async def test_a_cli_that_is_missing_or_may_not_run_is_named(settings: AgentSettings, tmp_path: Path) -> None:
    missing = tmp_path / "claude"
    with pytest.raises(NotConfigured, match="CLAUDE_CLI"):
        await run(settings.model_copy(update={"claude_cli": missing}), "hi")
    missing.write_text("#!/bin/sh\n")
    with pytest.raises(NotConfigured, match="chmod"):
        await run(settings.model_copy(update={"claude_cli": missing}), "hi")


async def test_a_workspace_that_is_no_repository_says_so(settings: AgentSettings, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(WorkspaceError, match="empty"):
        await run(settings.model_copy(update={"workspace_dir": str(empty)}), "hi")


async def test_an_unknown_workspace_names_those_that_there_are(settings: AgentSettings) -> None:
    with pytest.raises(WorkspaceError, match="default"):
        await run(settings, "hi", workspace="nowhere")


@pytest.mark.parametrize(("field", "value"), [("max_budget_usd", 1001), ("timeout_seconds", 86_401)])
async def test_more_than_the_operator_allows_is_refused(settings: AgentSettings, field: str, value: int) -> None:
    with pytest.raises(RequestRefused, match=field):
        await run(settings, "hi", **{field: value})


async def test_a_run_takes_no_more_processes_than_its_control_group_has(settings: AgentSettings) -> None:
    runtime = Runtime(settings.model_copy(update={"agent_processes": 100}))
    await runtime.open()
    groups, sandbox = runtime.sandbox.cgroups, runtime.sandbox.probe
    if groups.version is None or sandbox.bubblewrap is None:
        pytest.skip(f"needs bubblewrap and a control group: {sandbox.reason}, {groups.reason}")
    request = AgentRequest(prompt="hi", agent="service-upgrade")
    slot = await runtime.slots.acquire()
    async with private_directory(settings.state_dir / "runs" / RUN, None) as private:
        checkout = await runtime.prepare(slot, request, RUN, allow_stale=False)
        place = runtime.sandbox.place(["python3", "-c", CROWD], {"PATH": os.defpath}, RunFiles(RUN, checkout, private))
        whereabouts = {"env": place.environment, "cwd": place.directory}
        done = await asyncio.to_thread(subprocess.run, place.argv, **whereabouts, capture_output=True, text=True)
        assert place.cgroup is not None
        assert all(directory.is_dir() for directory in place.cgroup.directories)
        await place.kill_remaining()
    assert done.stdout == "BlockingIOError\n", done.stderr
    assert not any(directory.exists() for directory in place.cgroup.directories)


async def test_agents_without_a_network_need_a_sandbox(settings: AgentSettings) -> None:
    none = settings.model_copy(update={"agent_network": "none", "agent_sandbox": "off"})
    with pytest.raises(NotConfigured, match="AGENT_NETWORK=none needs a sandbox"):
        Runtime(none)


async def test_the_log_says_that_there_is_no_sandbox(settings: AgentSettings, caplog: pytest.LogCaptureFixture) -> None:
    await Runtime(settings.model_copy(update={"agent_sandbox": "off"})).open()
    assert "Sandbox is OFF" in caplog.text
    assert "AGENT_SANDBOX=off" in caplog.text
