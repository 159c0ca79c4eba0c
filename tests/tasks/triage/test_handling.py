"""Who gets which item, and what becomes of it: with a real store, and agents that end as they are told."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.states import Cancelled, Completed, Crashed, Failed, Running
from pretend_agents import Away, PretendAgents, outcome

from agent.runtime import Runtime
from store.errors import StoreUnavailable
from store.store import Store
from tasks.items.items import read_items
from tasks.triage import handling as handling_module
from tasks.triage import run_watcher
from tasks.triage.context import TriageContext
from tasks.triage.handling import HandlingResult, ItemHandling
from tasks.triage.models import TriageRequest
from tasks.triage.plan_items import make_plan

LOG = logging.getLogger("triage")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_watcher, "SOONEST_SECONDS", 0.005)
    monkeypatch.setattr(run_watcher, "LATEST_SECONDS", 0.02)
    monkeypatch.setattr(handling_module, "_PAUSE_SECONDS", 0.005)


class Triage:
    """One run of a triage, as a host would hold it."""

    def __init__(self, store: Store, agents: PretendAgents, values: list[Any], **members: Any) -> None:
        source = {"type": "list", "items": values}
        self.request = TriageRequest.model_validate({"name": "x", "agent": "a", "source": source, **members})
        self.listing = read_items(values, self.request.reading)
        self.context = TriageContext(
            run_id=uuid4(),
            started_at=datetime.now(UTC),
            runtime=Runtime.__new__(Runtime),
            store=store,
            agents=agents,
            secrets_dir=Path("/nowhere"),
            lease=timedelta(seconds=60),
        )

    async def run(self) -> HandlingResult:
        plan = await make_plan(self.request, self.listing, self.context)
        self.handling = ItemHandling(self.request, plan, self.context, LOG)
        return await self.handling.run()


def items(*names: str, text: str = "text") -> list[Any]:
    return [{"id": name, "title": name, "body": text} for name in names]


def statuses(results: HandlingResult) -> dict[str, str]:
    return {report.title: report.status for report in results.reports}


async def until(condition: Any, what: str) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)
    assert condition(), what


# once


async def test_an_item_is_handled_once_and_again_when_it_changes(store: Store, agents: PretendAgents) -> None:
    first = await Triage(store, agents, items("a", "b")).run()
    assert statuses(first) == {"a": "done", "b": "done"}
    second = await Triage(store, agents, items("a", "b")).run()
    assert (second.reports, second.handled_before) == ([], 2)
    third = await Triage(store, agents, [*items("a"), *items("b", text="changed")]).run()
    assert statuses(third) == {"b": "done"}
    assert (agents.count("a"), agents.count("b")) == (1, 2)


async def test_another_name_starts_from_nothing(store: Store, agents: PretendAgents) -> None:
    await Triage(store, agents, items("a")).run()
    assert statuses(await Triage(store, agents, items("a"), name="y").run()) == {"a": "done"}


async def test_items_with_hostile_keys_are_handled_once_and_told_apart(store: Store, agents: PretendAgents) -> None:
    keys = ["a\nb", "a b", "x" * 10_000, "x" * 10_000 + "y", "' OR 1=1 --", "{{ 7 * 7 }}", "\x1b[2J", "é", "e\u0301"]
    values = [{"id": key, "title": str(number)} for number, key in enumerate(keys)]
    first = await Triage(store, agents, values).run()
    assert statuses(first) == {str(number): "done" for number in range(len(keys))}
    assert all(len(report.key) <= 200 and report.key.isprintable() for report in first.reports)
    second = await Triage(store, agents, values).run()
    assert (second.reports, second.handled_before) == ([], len(keys))


async def test_asked_to_a_triage_handles_everything_once_more(store: Store, agents: PretendAgents) -> None:
    await Triage(store, agents, items("a")).run()
    again = Triage(store, agents, items("a"), again=True)
    assert statuses(await again.run()) == {"a": "done"}
    # carried on after its host stopped, the same run does not handle it a third time
    assert statuses(await again.run()) == {"a": "done"}
    assert agents.count("a") == 2


async def test_two_overlapping_triages_share_the_items(store: Store, agents: PretendAgents) -> None:
    agents.at_once = False
    names = [f"n{number}" for number in range(12)]
    both = [Triage(store, agents, items(*names), at_once=6) for _ in range(2)]
    running = [asyncio.create_task(triage.run()) for triage in both]
    await until(lambda: len(agents.runs) == 12, "an agent for each item")
    for run_id in list(agents.runs):
        await agents.finish(run_id)
    results = await asyncio.gather(*running)
    assert sorted(report.title for result in results for report in result.reports) == sorted(names)
    assert all(agents.count(name) == 1 for name in names)
    # the rest one of them has met as the other's, or, if it was late, as handled before
    assert 0 < sum(result.claimed_elsewhere for result in results) <= 12


async def test_an_answer_that_was_lost_makes_no_second_run(store: Store, agents: PretendAgents) -> None:
    agents.lost_answers = 3
    assert statuses(await Triage(store, agents, items("a")).run()) == {"a": "done"}
    assert agents.count("a") == 1


async def test_once_more_walks_on_through_a_backlog(store: Store, agents: PretendAgents) -> None:
    names = [f"n{number:02}" for number in range(12)]
    handled = [
        sorted(statuses(await Triage(store, agents, items(*names), again=True, max_items=4).run())) for _ in range(4)
    ]
    assert handled == [names[:4], names[4:8], names[8:], names[:4]]


@pytest.mark.parametrize("dated", [True, False])
async def test_nothing_waits_for_ever_where_more_comes_in_than_is_handled(
    store: Store, agents: PretendAgents, dated: bool
) -> None:
    def item(number: int) -> dict[str, Any]:
        date = {"created_at": (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)).isoformat()}
        return {"id": f"n{number:03}", "title": f"n{number:03}", **(date if dated else {})}

    backlog = 20
    handled: list[str] = []
    for hour in range(6):
        newest_first = [item(number) for number in reversed(range(backlog + 5 * hour))]
        triage = Triage(store, agents, newest_first, max_items=5)
        run = statuses(await triage.run())
        handled += run
        if dated and hour:
            # four of the oldest, and the newest one has not to wait either
            assert f"n{backlog + 5 * hour - 1:03}" in run
    old = [name for name in handled if int(name[1:]) < backlog]
    assert len(old) >= 20 if not dated else len(old) >= 19


def storm(alerts: int, names: int = 5) -> list[Any]:
    return [
        {
            "id": f"a{number}",
            "title": f"alert {number}",
            "labels": {"alertname": f"n{number % names}", "severity": "critical" if number < names else "warning"},
        }
        for number in range(alerts)
    ]


async def test_a_storm_of_alerts_is_judged_once_a_group(store: Store, agents: PretendAgents) -> None:
    agents.endings |= {
        f"alert {number}": (Completed(), outcome(structured={"priority": f"p{number}"})) for number in range(5)
    }
    first = await Triage(store, agents, storm(100), group="labels.alertname", max_items=10).run()
    assert len(agents.titles) == 5
    assert len(first.reports) == 100
    assert {report.status for report in first.reports} == {"done"}
    assert {(report.title, report.verdict["priority"]) for report in first.reports if report.title == "alert 7"} == {  # type: ignore[index, call-overload]
        ("alert 7", "p2")
    }
    assert sum(report.cost_usd or 0 for report in first.reports) == pytest.approx(5 * 0.25)
    prompt = agents.requests[agents.run_of("alert 0")].prompt
    assert '"alike": 20' in prompt
    assert '"critical": 1' in prompt
    assert "alert 5" in prompt
    again = await Triage(store, agents, storm(100), group="labels.alertname").run()
    assert (again.reports, again.handled_before) == ([], 100)
    # one more of a group is one more run
    await Triage(store, agents, storm(101), group="labels.alertname").run()
    assert len(agents.titles) == 6


async def test_a_group_whose_run_fails_is_tried_again_as_a_whole(store: Store, agents: PretendAgents) -> None:
    agents.endings["alert 0"] = (Failed(), outcome(error="it broke"))
    for attempts in (1, 2):
        triage = Triage(store, agents, storm(4, names=1), group="labels.alertname", max_attempts=2)
        found = await triage.run()
        assert [(report.status, report.attempts) for report in found.reports] == [("failed", attempts)] * 4
    triage = Triage(store, agents, storm(4, names=1), group="labels.alertname", max_attempts=2)
    assert len((await make_plan(triage.request, triage.listing, triage.context)).set_aside) == 4
    assert len(agents.titles) == 2


async def test_what_a_dead_host_had_of_a_group_is_settled_by_its_run(store: Store, agents: PretendAgents) -> None:
    agents.at_once = False
    dead = Triage(store, agents, storm(3, names=1), group="labels.alertname")
    dead.context.lease = timedelta(0)
    running = asyncio.create_task(dead.run())
    await until(lambda: len(agents.runs) == 1, "an agent")
    await until(lambda: agents.looks > 0, "the run is waited for")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await agents.finish(agents.run_of("alert 0"))
    after = Triage(store, agents, storm(3, names=1), group="labels.alertname")
    after.context.lease = timedelta(0)
    found = await after.run()
    assert [report.status for report in found.reports] == ["done"] * 3
    assert len(agents.titles) == 1


async def test_the_order_of_the_source_is_kept_where_it_is_asked_for(store: Store, agents: PretendAgents) -> None:
    dated = [
        {"id": name, "title": name, "created_at": f"2026-01-0{day}"} for name, day in (("b", 2), ("c", 3), ("a", 1))
    ]
    await Triage(store, agents, dated, order="source", max_items=2, at_once=1).run()
    assert agents.titles == ["b", "c"]
    await Triage(store, agents, dated, order="newest", name="y", max_items=2, at_once=1).run()
    assert agents.titles[2:] == ["c", "b"]


async def test_the_verdict_of_an_item_is_kept(store: Store, agents: PretendAgents) -> None:
    agents.endings["a"] = (Completed(), outcome(structured={"priority": "high"}))
    await Triage(store, agents, items("a", "b"), max_items=1).run()
    known = {item.key: item for item in await store.items.find("x")}
    assert json.loads(known["a"].verdict or "") == {"priority": "high"}
    assert (known["a"].status, known["a"].cost_usd, known["a"].judged_by) == ("done", 0.25, agents.run_of("a"))
    assert (known["b"].status, known["b"].verdict) == ("waiting", None)
    assert await store.items.counts() == {"x": {"done": 1, "waiting": 1}}


async def test_a_rerun_of_a_failed_item_s_job_mends_what_the_triage_knows(store: Store, agents: PretendAgents) -> None:
    agents.endings["a"] = (Failed(), outcome(error="it broke"))
    await Triage(store, agents, items("a"), max_attempts=1).run()
    aside = Triage(store, agents, items("a"), max_attempts=1)
    assert [report.status for report in (await make_plan(aside.request, aside.listing, aside.context)).set_aside]
    again = await agents.start(agents.requests[agents.run_of("a")], "again", uuid4(), uuid4())
    assert await store.handled.follow_rerun(next(iter(agents.runs)), again)
    agents.endings["again"] = (Completed(), outcome(structured={"priority": "low"}))
    await agents.finish(again)
    healed = await Triage(store, agents, items("a"), max_attempts=1).run()
    assert statuses(healed) == {"a": "done"}
    assert healed.reports[0].verdict == {"priority": "low"}
    assert (await Triage(store, agents, items("a")).run()).handled_before == 1
    assert agents.count("a") == 1
    assert not await store.handled.follow_rerun(uuid4(), again)


async def test_a_rerun_that_fails_too_leaves_the_item_as_it_was(store: Store, agents: PretendAgents) -> None:
    agents.endings["a"] = (Failed(), outcome(error="it broke"))
    await Triage(store, agents, items("a"), max_attempts=1).run()
    again = await agents.start(agents.requests[agents.run_of("a")], "a", uuid4(), uuid4())
    await store.handled.follow_rerun(next(iter(agents.runs)), again)
    await agents.finish(again)
    triage = Triage(store, agents, items("a"), max_attempts=1)
    plan = await make_plan(triage.request, triage.listing, triage.context)
    assert [(report.title, report.error) for report in plan.set_aside] == [("a", "it broke")]


# a host that died


async def test_the_next_triage_takes_over_what_a_dead_one_had_at_work(store: Store, agents: PretendAgents) -> None:
    agents.at_once = False
    dead = Triage(store, agents, items("a", "b", "c"))
    running = asyncio.create_task(dead.run())
    await until(lambda: len(agents.runs) == 3, "three agents")
    await agents.finish(agents.run_of("a"))
    await until(lambda: dead.handling._reports, "a settled")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await agents.finish(agents.run_of("b"))

    soon = await Triage(store, agents, items("a", "b", "c")).run()
    assert (soon.reports, soon.claimed_elsewhere, soon.handled_before) == ([], 2, 1)

    later = Triage(store, agents, items("a", "b", "c"))
    later.context.lease = timedelta(seconds=0)
    taking_over = asyncio.create_task(later.run())
    await until(lambda: hasattr(later, "handling") and later.handling._running, "c taken over")
    await agents.finish(agents.run_of("c"))
    assert statuses(await taking_over) == {"b": "done", "c": "done"}
    assert agents.titles == ["a", "b", "c"]


async def test_a_host_that_died_between_claiming_and_starting_leaves_no_second_run(
    store: Store, agents: PretendAgents
) -> None:
    agents.answers.clear()
    dead = asyncio.create_task(Triage(store, agents, items("a")).run())
    await until(lambda: agents.runs, "a run whose id nobody has noted")
    later = Triage(store, agents, items("a"))
    later.context.lease = timedelta(seconds=0)
    living = asyncio.create_task(later.run())
    await until(lambda: hasattr(later, "handling"), "the next triage")
    dead.cancel()
    agents.answers.set()
    assert statuses(await living) == {"a": "done"}
    assert agents.count("a") == 1
    await asyncio.gather(dead, return_exceptions=True)


async def test_a_triage_that_is_carried_on_reports_all_of_it(store: Store, agents: PretendAgents) -> None:
    agents.at_once = False
    triage = Triage(store, agents, items("a", "b"))
    running = asyncio.create_task(triage.run())
    await until(lambda: len(agents.runs) == 2, "two agents")
    await agents.finish(agents.run_of("a"))
    await until(lambda: triage.handling._reports, "a settled")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await agents.finish(agents.run_of("b"))
    assert statuses(await triage.run()) == {"a": "done", "b": "done"}
    assert agents.titles == ["a", "b"]


async def test_an_item_that_changes_while_its_agent_works_is_handled_again_afterwards(
    store: Store, agents: PretendAgents
) -> None:
    agents.at_once = False
    first = asyncio.create_task(Triage(store, agents, items("a")).run())
    await until(lambda: agents.runs, "an agent")
    changed = items("a", text="changed")
    assert (await Triage(store, agents, changed).run()).claimed_elsewhere == 1
    await agents.finish(agents.run_of("a"))
    await first
    agents.at_once = True
    assert statuses(await Triage(store, agents, changed).run()) == {"a": "done"}
    assert (await Triage(store, agents, changed).run()).handled_before == 1


# failures


async def test_a_failed_item_is_tried_at_the_next_runs_and_then_set_aside(store: Store, agents: PretendAgents) -> None:
    agents.endings["a"] = (Failed(message="no"), outcome(error="the answer does not follow the schema"))
    for attempt in (1, 2):
        (report,) = (await Triage(store, agents, items("a"), max_attempts=2).run()).reports
        assert (report.status, report.attempts) == ("failed", attempt)
    assert report.error == "the answer does not follow the schema (set aside: it failed 2 times)"
    triage = Triage(store, agents, items("a"), max_attempts=2)
    plan = await make_plan(triage.request, triage.listing, triage.context)
    assert plan.items == []
    assert [(one.status, one.error) for one in plan.set_aside] == [
        ("set aside", "the answer does not follow the schema")
    ]
    assert agents.count("a") == 2
    assert statuses(await Triage(store, agents, items("a", text="new"), max_attempts=2).run()) == {"a": "failed"}


@pytest.mark.parametrize(
    ("state", "told", "counts"),
    [
        (Crashed(message="the host died"), None, True),
        (Failed(message="no key"), outcome().model_copy(update={"result": None, "error": "no key"}), False),
        (Cancelled(message="an operator"), None, False),
        (Failed(name="TimedOut"), outcome(error="agent timed out"), True),
    ],
)
async def test_only_what_says_something_of_the_item_counts_against_it(
    store: Store, agents: PretendAgents, state: Any, told: Any, counts: bool
) -> None:
    agents.endings["a"] = (state, told)
    for _ in range(3):
        await Triage(store, agents, items("a"), max_attempts=2).run()
    assert agents.count("a") == (2 if counts else 3)


async def test_a_run_that_is_gone_from_prefect_is_a_failed_attempt(store: Store, agents: PretendAgents) -> None:
    agents.at_once = False
    running = asyncio.create_task(Triage(store, agents, items("a")).run())
    await until(lambda: agents.runs, "an agent")
    agents.runs.clear()
    (report,) = (await running).reports
    assert (report.status, report.error) == ("failed", "Prefect no longer has its run")


async def test_a_prompt_that_cannot_be_made_fails_its_item_and_no_other(store: Store, agents: PretendAgents) -> None:
    values = [{"id": "a", "title": "a", "n": 0}, {"id": "b", "title": "b", "n": 1}]
    results = await Triage(store, agents, values, prompt="{{ 1 / item.n }}").run()
    assert statuses(results) == {"a": "failed", "b": "done"}
    assert agents.titles == ["b"]


async def test_a_request_that_is_refused_is_told_and_does_not_count(store: Store, agents: PretendAgents) -> None:
    for _ in range(4):
        agents.failures = [ValueError("max_budget_usd must be at most 0.5")]
        (report,) = (await Triage(store, agents, items("a"), max_attempts=2).run()).reports
        assert report.error == "max_budget_usd must be at most 0.5"
    assert statuses(await Triage(store, agents, items("a"), max_attempts=2).run()) == {"a": "done"}


async def test_prefect_and_the_store_may_be_away_for_a_while(
    store: Store, agents: PretendAgents, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents.failures = [Away("away") for _ in range(9)]
    settle, troubles = store.handled.settle, [StoreUnavailable("away") for _ in range(3)]

    async def flaky(*values: Any, **options: Any) -> bool:
        if troubles:
            raise troubles.pop()
        return await settle(*values, **options)

    monkeypatch.setattr(type(store.handled), "settle", staticmethod(flaky))
    assert statuses(await Triage(store, agents, items("a", "b")).run()) == {"a": "done", "b": "done"}
    assert (agents.count("a"), agents.count("b")) == (1, 1)


# caps


async def test_the_number_of_items_is_capped_and_the_rest_waits(store: Store, agents: PretendAgents) -> None:
    names = [f"n{number}" for number in range(5)]
    counts = []
    for _ in range(3):
        results = await Triage(store, agents, items(*names), max_items=2).run()
        counts.append((len(results.reports), results.left_for_next_run))
    assert counts == [(2, 3), (2, 1), (1, 0)]
    assert sorted(agents.titles) == names


async def test_no_more_agents_than_allowed_are_at_work_at_the_same_time(store: Store, agents: PretendAgents) -> None:
    await Triage(store, agents, items(*"abcdefgh"), at_once=3).run()
    assert agents.most_at_once == 3


async def test_a_run_spends_no_more_than_it_may_whatever_its_agents_come_to(
    store: Store, agents: PretendAgents
) -> None:
    results = await Triage(store, agents, items(*"abcdefgh"), max_budget_usd=1.0, max_cost_usd=2.0, at_once=4).run()
    # two at a time, a quarter dollar each: after four of them a whole dollar is left, after five it is not
    assert (len(results.reports), results.left_for_next_run) == (5, 3)
    assert "max_cost_usd allows $2 in one run" in results.notes[0]
    assert agents.most_at_once == 2


async def test_an_agent_whose_cost_nobody_knows_may_have_cost_all_it_was_given(
    store: Store, agents: PretendAgents
) -> None:
    for name in "abc":
        agents.endings[name] = (Completed(), outcome(cost_usd=None))
    results = await Triage(store, agents, items(*"abc"), max_budget_usd=1.0, max_cost_usd=2.0).run()
    assert (len(results.reports), results.left_for_next_run) == (2, 1)


async def test_an_agent_that_takes_too_long_is_left_to_the_next_run(store: Store, agents: PretendAgents) -> None:
    agents.at_once = False
    results = await Triage(store, agents, items("a", "b"), max_wait_seconds=1, at_once=1).run()
    assert statuses(results) == {"a": "at work"}
    assert results.left_for_next_run == 1
    agents.at_once = True
    later = Triage(store, agents, items("a", "b"))
    later.context.lease = timedelta(seconds=0)
    assert statuses(await later.run()) == {"a": "done", "b": "done"}
    assert (agents.count("a"), agents.count("b")) == (1, 1)


# cancellation


async def test_a_cancelled_triage_ends_its_agents_and_the_next_one_has_their_items(
    store: Store, agents: PretendAgents
) -> None:
    agents.at_once = False
    triage = Triage(store, agents, items("a", "b"), max_attempts=1)
    running = asyncio.create_task(triage.run())
    await until(lambda: len(agents.runs) == 2, "two agents")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await triage.handling.abandon()
    assert sorted(agents.cancelled) == sorted(agents.runs)
    agents.at_once = True
    later = Triage(store, agents, items("a", "b"), max_attempts=1)
    later.context.lease = timedelta(seconds=0)
    assert statuses(await later.run()) == {"a": "done", "b": "done"}


async def test_many_runs_are_asked_for_with_few_questions(store: Store, agents: PretendAgents) -> None:
    await Triage(store, agents, items(*(f"n{number}" for number in range(200))), max_items=200, at_once=100).run()
    assert agents.looks < 40


async def test_a_run_that_ended_before_anybody_waits_for_it_is_found(store: Store, agents: PretendAgents) -> None:
    agents.at_once = False
    watched = run_watcher.RunWatcher(agents, LOG)
    watching = asyncio.create_task(watched.watch())
    triage = Triage(store, agents, items("a"))
    run_id = await agents.start(triage.request, "a", uuid4(), uuid4())  # type: ignore[arg-type]
    agents._set(run_id, Running())
    await agents.finish(run_id)
    found = await watched.of(run_id)
    assert found is not None
    assert found.state is not None
    assert found.state.is_completed()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
