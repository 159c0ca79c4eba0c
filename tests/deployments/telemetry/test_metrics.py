"""What a host counts, and that no caller can make it count without end."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from promtool import needs_promtool, promtool
from watched_run import BEGAN, STARTED, a_run, checkout, outcome

from agent.domain.events import emit
from agent.provider.failures import ProviderFailure
from agent.settings import AgentSettings
from deployments.holds.provider_hold import ProviderHold
from deployments.host.credential_age import credential_since
from deployments.prefect_client.calls import PrefectUnavailable
from deployments.telemetry.capacity import HostCapacity, Isolation, WarmCounts
from deployments.telemetry.metrics import HostMetrics
from deployments.telemetry.queue_metrics import FRESH_SECONDS, QueueMetrics
from deployments.telemetry.run_metrics import MOST_AGENTS, MOST_MODELS, RunMetrics
from tasks.agent_run.outcome import CANCELLED


class Parts:
    """A host's capacity and its jobs, set by hand."""

    def __init__(self, directory: Path) -> None:
        self.hold = ProviderHold()
        self.jobs: int | None = 7
        self.asked = 0

    def metrics(self) -> HostMetrics:
        return HostMetrics(self.capacity, self.count_due)

    def capacity(self) -> HostCapacity:
        return HostCapacity(
            slots=3,
            free=2,
            waiting=0,
            is_busy=True,
            held_until=self.hold.until,
            held_reason=self.hold.reason,
            paused=frozenset({"agents"}),
            disk_free_bytes=600 * 1024 * 1024,
            disk_min_free_bytes=500 * 1024 * 1024,
            is_disk_low=False,
            warm=WarmCounts(3, 2, 1, 4),
            watches={"pauses": 1.5},
            isolation=Isolation("bwrap", "0.8.0", 2),
        )

    async def count_due(self) -> int:
        self.asked += 1
        if self.jobs is None:
            raise PrefectUnavailable("away")
        return self.jobs


@pytest.fixture
def runs() -> RunMetrics:
    return RunMetrics(CollectorRegistry())


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


def value(metrics: RunMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_a_run_is_counted_with_its_agent_its_trigger_and_what_it_came_to(runs: RunMetrics) -> None:
    with a_run([runs], ".claude/agents/service-upgrade", "trigger:execute", "mine") as context:
        assert value(runs, "agent_service_runs_at_work", trigger="execute") == 1
        emit(STARTED)
        context.record_end(outcome())
    labels = {"agent": "service-upgrade", "trigger": "execute", "outcome": "completed"}
    assert value(runs, "agent_service_runs_finished_total", **labels) == 1
    assert value(runs, "agent_service_runs_at_work", trigger="execute") == 0
    assert value(runs, "agent_service_run_duration_seconds_sum", agent="service-upgrade") == 60
    assert value(runs, "agent_service_agent_start_seconds_count") == 1


async def test_tokens_and_dollars_are_told_by_model_and_kind(runs: RunMetrics) -> None:
    with a_run([runs], "a") as context:
        context.record_end(outcome())
    with a_run([runs], "a") as context:  # a CLI that does not tell models apart
        context.record_end(outcome(output="done\n"))
    told = {
        kind: value(runs, "agent_service_tokens_total", model="claude-sonnet-4-6", kind=kind)
        for kind in ("prompt", "cached", "completion")
    }
    assert told == {"prompt": 100, "cached": 60, "completion": 40}
    assert value(runs, "agent_service_cost_dollars_total", model="claude-sonnet-4-6") == 0.5


@pytest.mark.parametrize(
    ("error", "ending", "told"),
    [
        (None, "exit", "completed"),
        ("exit 1", "exit", "failed"),
        ("late", "timeout", "timeout"),
        (CANCELLED, "exit", "error"),
    ],
)
async def test_the_outcome_is_the_status_that_a_job_has(
    runs: RunMetrics, error: str | None, ending: str, told: str
) -> None:
    with a_run([runs], "a", "trigger:chat") as context:
        context.record_end(outcome(error=error, ending=ending))
    labels = {"agent": "unknown", "trigger": "chat", "outcome": told}
    assert value(runs, "agent_service_runs_finished_total", **labels) == 1


async def test_a_run_that_is_put_off_is_not_counted_as_finished(runs: RunMetrics) -> None:
    with a_run([runs], "a"):
        emit(STARTED)
    assert not any(family.samples for family in runs.finished.collect())


@pytest.mark.parametrize(
    ("tags", "automatic", "trigger"),
    [
        ([], True, "schedule"),
        ([], False, "prefect"),
        (["trigger:forged"], False, "other"),
        (["trigger:triage"], False, "triage"),
    ],
)
async def test_who_asked_is_one_of_a_few(runs: RunMetrics, tags: list[str], automatic: bool, trigger: str) -> None:
    with a_run([runs], "a", *tags, auto_scheduled=automatic) as context:
        context.record_end(outcome())
    labels = {"agent": "unknown", "trigger": trigger, "outcome": "completed"}
    assert value(runs, "agent_service_runs_finished_total", **labels) == 1


async def test_waiting_counts_from_when_a_run_was_due_and_only_the_first_time(runs: RunMetrics) -> None:
    with a_run([runs], "a", "trigger:execute", expected_start_time=BEGAN):
        pass
    with a_run([runs], "a", "trigger:execute", expected_start_time=BEGAN, run_count=1):
        pass
    assert value(runs, "agent_service_queue_wait_seconds_count", trigger="execute") == 1


async def test_a_stale_workspace_is_counted_and_its_age_told(runs: RunMetrics) -> None:
    for stale in (False, True):
        with a_run([runs], "a") as context:
            context.record_checkout(checkout(stale=stale))
    assert value(runs, "agent_service_stale_runs_total", workspace="default") == 1
    fetched = value(runs, "agent_service_workspace_fetched_timestamp_seconds", workspace="default")
    assert fetched == BEGAN.timestamp()


async def test_names_that_no_agent_has_make_no_series(runs: RunMetrics) -> None:
    with a_run([runs], "true-agent") as context:
        emit(STARTED)
        context.record_end(outcome())
    before = series(runs.registry)
    for number in range(500):
        with a_run([runs], f"random-{number}", f"trigger:{number}", f"tag-{number}") as context:
            context.record_end(outcome(error="agent not found", model=None, output="", usage={}, cost_usd=None))
    # one for the unknown agents, and the histograms of theirs and of their trigger
    assert series(runs.registry) - before < 50
    assert value(runs, "agent_service_runs_finished_total", agent="unknown", trigger="other", outcome="failed") == 500


async def test_even_true_agents_and_models_past_the_cap_are_one_series(runs: RunMetrics) -> None:
    for number in range(MOST_AGENTS + MOST_MODELS):
        with a_run([runs], f"agent-{number}") as context:
            emit(STARTED)
            context.record_end(outcome(output="", model=f"model-{number}"))
    agents = {sample.labels["agent"] for sample in next(iter(runs.finished.collect())).samples}
    models = {sample.labels["model"] for sample in next(iter(runs.dollars.collect())).samples}
    assert len(agents) == MOST_AGENTS + 1
    assert len(models) == MOST_MODELS + 1
    assert {"other"} == agents & models
    assert value(runs, "agent_service_cost_dollars_total", model="other") == 0.25 * MOST_AGENTS


async def test_a_watcher_that_fails_is_a_line_in_the_log_and_nothing_to_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def watch(self, run: object) -> Any:
            return SimpleNamespace(on_event=self.fail, step=self.fail, end=self.fail)

        def fail(self, *_: object) -> None:
            raise ValueError("broken")

    with caplog.at_level(logging.ERROR), a_run([cast(Any, Broken())], "a") as context:
        emit(STARTED)
        with context.step("git_sync"):
            pass
    assert len(caplog.records) == 3
    assert {record.getMessage() for record in caplog.records} == {"a run could not be observed"}


async def test_a_host_tells_what_it_is_like(parts: Parts) -> None:
    parts.hold.on_failure(ProviderFailure(kind="usage_limit", status=429, message="used up"))
    metrics = parts.metrics()
    metrics.on_failure(ProviderFailure(kind="overloaded", status=529, message="busy"))
    metrics.set_credential_age(BEGAN)
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families((await metrics.render()).decode())
        for sample in family.samples
    }
    expected = {
        ("agent_service_slots",): 3,
        ("agent_service_slots_free",): 2,
        ("agent_service_busy",): 1,
        ("agent_service_jobs_held",): 1,
        ("agent_service_paused", "agents"): 1,
        ("agent_service_paused", "triage"): 0,
        ("agent_service_queue_depth", "chat"): 0,
        ("agent_service_queue_depth", "jobs"): 7,
        ("agent_service_disk_free_bytes",): 600 * 1024 * 1024,
        ("agent_service_disk_low",): 0,
        ("agent_service_warm_starts_total", "hit"): 2,
        ("agent_service_warm_starts_total", "miss"): 1,
        ("agent_service_warm_replacements_total",): 4,
        ("agent_service_warm_parked",): 3,
        ("agent_service_provider_refusals_total", "overloaded"): 1,
        ("agent_service_provider_refusals_total", "usage_limit"): 0,
        ("agent_service_credential_since_timestamp_seconds",): BEGAN.timestamp(),
        ("agent_service_sandbox_info", "bwrap", "2", "bwrap"): 1,
    }
    assert {key: told.get(key) for key in expected if key[0] != "agent_service_sandbox_info"} == {
        key: number for key, number in expected.items() if key[0] != "agent_service_sandbox_info"
    }
    assert any(key[0] == "agent_service_sandbox_info" and {"bwrap", "2"} <= set(key) for key in told)
    assert told["agent_service_jobs_held_until_timestamp_seconds",] > BEGAN.timestamp()


async def test_the_event_loop_is_measured_while_the_host_is_open(parts: Parts) -> None:
    metrics = parts.metrics()
    async with metrics.watching(), asyncio.timeout(10):
        while not metrics.registry.get_sample_value("agent_service_event_loop_lag_seconds_count"):
            await asyncio.sleep(0.05)


async def test_prefect_is_asked_for_the_jobs_only_every_few_seconds(parts: Parts) -> None:
    now = 0.0
    queue = QueueMetrics(parts.count_due, lambda: now)
    await asyncio.gather(*(queue.look() for _ in range(10)))
    await queue.look()
    assert parts.asked == 1
    now = FRESH_SECONDS
    parts.jobs = None
    await queue.look()
    assert parts.asked == 2
    [depth] = queue.collect()
    assert [sample.labels["queue"] for sample in depth.samples] == ["chat"]


async def test_a_prefect_that_does_not_answer_holds_up_no_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.telemetry.queue_metrics.SCRAPE_SECONDS", 0.05)
    asked = asyncio.Event()

    async def never() -> int:
        asked.set()
        await asyncio.Event().wait()
        return 1

    queue = QueueMetrics(never)
    async with asyncio.timeout(5):
        await queue.look()
        assert asked.is_set()
        await queue.look()
        await queue.close()
    [depth] = queue.collect()
    assert [sample.labels["queue"] for sample in depth.samples] == ["chat"]


async def test_callers_are_counted_while_they_wait(parts: Parts) -> None:
    queue = QueueMetrics(parts.count_due)
    with queue.waiting_caller():
        [depth] = queue.collect()
        assert [sample.value for sample in depth.samples] == [1]
    [depth] = queue.collect()
    assert [sample.value for sample in depth.samples] == [0]


async def test_the_credentials_age_counts_from_its_last_change(tmp_path: Path) -> None:
    def since(key: str | None) -> Any:
        return credential_since(AgentSettings(state_dir=tmp_path, anthropic_api_key=key))

    assert since(None) is None
    first = since("sk-one")
    assert since("sk-one") == first
    second = since("sk-two")
    assert second > first
    assert timedelta() <= second - first < timedelta(minutes=1)
    kept = (tmp_path / "host" / "credential.json").read_text()
    assert "sk-" not in kept


async def test_every_host_has_a_registry_of_its_own(tmp_path: Path) -> None:
    first, second = Parts(tmp_path).metrics(), Parts(tmp_path).metrics()
    assert first.registry is not second.registry


@needs_promtool
async def test_promtool_finds_nothing_wrong_with_the_metrics(parts: Parts) -> None:
    metrics = parts.metrics()
    metrics.set_credential_age(BEGAN)
    parts.hold.on_failure(ProviderFailure(kind="usage_limit", status=429, message="used up"))
    with a_run([metrics.runs], "a", "trigger:execute", expected_start_time=BEGAN) as context:
        context.record_checkout(checkout())
        emit(STARTED)
        context.record_end(outcome())
    assert promtool("check", "metrics", given=await metrics.render()).strip() == ""
