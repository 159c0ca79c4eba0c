"""Traces: one a run, sent to whoever collects them, and never in a run's way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from otlp_collector import Collector, attributes, collecting, tree
from pydantic import SecretStr
from watched_run import MODEL_USAGE, STARTED, a_run, outcome

from agent.domain.errors import NotConfigured
from agent.domain.events import ModelRetried, ToolCalled, ToolReturned, emit
from deployments.settings import HostSettings
from deployments.telemetry import tracing as traces
from deployments.telemetry.observers import Observer
from deployments.telemetry.tracing import tracing
from tasks.agent_run.context import RunContext


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def settings(collector: Collector) -> HostSettings:
    return HostSettings(traces_endpoint=collector.url, traces_headers=SecretStr("X-Api-Key=k1, tenant=a=b"))


@contextmanager
def a_traced_run(observers: list[Observer]) -> Iterator[RunContext]:
    """A run that syncs twice, and whose agent calls two tools, one of which never returns."""
    with a_run(observers, ".claude/agents/a", "trigger:chat") as context:
        with pytest.raises(OSError, match="away"), context.step("git_sync"):
            raise OSError("the remote at https://token@host is away")
        with context.step("git_sync"):
            pass
        with context.step("invoke_agent"):
            emit(STARTED)
            emit(ToolCalled(id="t1", name="Bash", input={"command": "echo secret"}))
            emit(ModelRetried(attempt=1, status=529, error="overloaded", delay_seconds=1))
            emit(ToolReturned(id="t1", text="secret", is_error=True))
            emit(ToolCalled(id="t2", name="Read", input={}))
        context.record_end(outcome(MODEL_USAGE))
        yield context


async def test_a_run_is_one_trace_of_its_tasks_and_tools(collector: Collector) -> None:
    observers: list[Observer] = []
    async with tracing(settings(collector), observers, "host-1"):
        with a_traced_run(observers) as context:
            run_id = context.run_id
    assert observers == []
    assert {span.trace_id.hex() for span in collector.spans} == {run_id.hex}
    assert tree(collector.spans) == [
        ("agent_run", None),
        ("execute_tool Bash", "invoke_agent"),
        ("execute_tool Read", "invoke_agent"),
        ("git_sync", "agent_run"),
        ("git_sync", "agent_run"),
        ("invoke_agent", "agent_run"),
    ]
    [root] = [span for span in collector.spans if span.name == "agent_run"]
    told = attributes(root)
    assert told["agent_service.run_id"] == str(run_id)
    assert told["agent_service.outcome"] == "completed"
    assert told["agent_service.cost_usd"] == 0.25
    assert told["gen_ai.agent.name"] == "a"
    assert told["gen_ai.response.model"] == "claude-sonnet-4-6"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (80, 20)


async def test_nothing_that_is_said_or_asked_is_in_a_trace(collector: Collector) -> None:
    observers: list[Observer] = []
    async with tracing(settings(collector), observers, "host-1"):
        with a_traced_run(observers):
            pass
    [(key, request)] = collector.received
    assert key == "k1"
    assert b"secret" not in request.SerializeToString()
    assert b"token@host" not in request.SerializeToString()


async def test_a_collector_that_is_away_neither_slows_nor_fails_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_LAST_SECONDS", 0.5)
    observers: list[Observer] = []
    settings = HostSettings(traces_endpoint="http://127.0.0.1:9/v1/traces")
    async with asyncio.timeout(60), tracing(settings, observers, "host-1"):
        for _ in range(200):
            with a_traced_run(observers):
                pass


async def test_a_collector_that_hangs_does_not_keep_the_host_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_LAST_SECONDS", 0.5)
    observers: list[Observer] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are made, and nobody answers
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        async with asyncio.timeout(60), tracing(HostSettings(traces_endpoint=endpoint), observers, "host-1"):
            with a_traced_run(observers):
                pass


async def test_without_the_setting_nobody_watches() -> None:
    observers: list[Observer] = []
    async with tracing(HostSettings(), observers, "host-1"):
        assert observers == []


async def test_the_setting_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "IS_INSTALLED", False)
    with pytest.raises(NotConfigured, match=r"pip install 'claude-agent-service\[traces\]'"):
        async with tracing(HostSettings(traces_endpoint="http://127.0.0.1:9"), [], "host-1"):
            pass


async def test_headers_that_are_none_name_the_setting() -> None:
    with pytest.raises(NotConfigured, match="TRACES_HEADERS"):
        traces.read_headers(HostSettings(traces_headers=SecretStr("nonsense")))
