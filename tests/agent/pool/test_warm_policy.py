"""What is made ready, and which slot a run gets: policy, without processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.claude.process_spec import ProcessSpec
from agent.domain.errors import AgentUnknown
from agent.domain.request import AgentRequest
from agent.pool.demand import MAX_SPECS, Demand, WarmTarget, warm_targets
from agent.pool.slots import Slots

CHAT = ProcessSpec(agent="chat", max_budget_usd=2, model="sonnet")
JOB = ProcessSpec(agent="upgrade", max_budget_usd=5)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def demand(clock: Clock) -> Demand:
    return Demand(600, clock)


def test_what_was_at_work_lately_is_known_newest_first_and_how_often_at_once(demand: Demand, clock: Clock) -> None:
    with demand.record(CHAT), demand.record(CHAT):
        clock.now = 10
    with demand.record(JOB):
        assert demand.recent() == [JOB, CHAT]
    assert demand.frequent() == {CHAT: 2}  # the other was asked for once, and may never be again
    with demand.record(JOB):
        assert demand.frequent() == {JOB: 1, CHAT: 2}
    clock.now = 599
    assert demand.frequent() == {JOB: 1, CHAT: 2}
    clock.now = 605
    assert (demand.recent(), demand.frequent()) == ([JOB, CHAT], {JOB: 1})
    clock.now = 611
    assert (demand.recent(), demand.frequent()) == ([], {})


def test_what_is_at_work_for_hours_is_not_forgotten(demand: Demand, clock: Clock) -> None:
    with demand.record(JOB):
        clock.now = 7200
        assert demand.recent() == [JOB]
    assert demand.recent() == [JOB]


def test_what_is_expected_stands_behind_what_was_asked_for(demand: Demand) -> None:
    assert demand.frequent([CHAT]) == {CHAT: 1}
    with demand.record(JOB), demand.record(JOB):
        assert list(demand.frequent([CHAT]).items()) == [(JOB, 2), (CHAT, 1)]
        assert demand.recent([CHAT]) == [JOB, CHAT]


def test_an_agent_that_there_is_not_is_not_made_ready(demand: Demand) -> None:
    with pytest.raises(AgentUnknown), demand.record(JOB):
        raise AgentUnknown("upgrade", [])
    assert demand.recent() == []


def test_callers_cannot_have_more_remembered_than_some(demand: Demand) -> None:
    for number in range(1000):
        with demand.record(JOB.model_copy(update={"max_turns": number})):
            pass
    assert len(demand.recent()) == MAX_SPECS


def hot(spec: ProcessSpec) -> WarmTarget:
    return WarmTarget(spec=spec, hot=True)


SPARE = WarmTarget(spec=JOB.as_spare(), hot=False)
OTHER = WarmTarget(spec=CHAT.as_spare(), hot=False)


@pytest.mark.parametrize(
    ("most", "wanted"),
    [
        (0, []),
        (1, [hot(JOB)]),
        (2, [hot(JOB), SPARE]),
        (3, [hot(JOB), hot(CHAT), SPARE]),
        (4, [hot(JOB), hot(CHAT), SPARE, OTHER]),
        (5, [hot(JOB), hot(CHAT), SPARE, OTHER, hot(CHAT)]),
        (9, [hot(JOB), hot(CHAT), SPARE, OTHER, hot(CHAT), hot(CHAT)]),
    ],
)
def test_each_has_one_before_any_has_two_and_some_are_for_whoever_comes(most: int, wanted: list[WarmTarget]) -> None:
    assert warm_targets({JOB: 1, CHAT: 3}, [SPARE.spec, OTHER.spec], most) == wanted


def test_without_one_kind_there_is_room_for_the_other() -> None:
    assert warm_targets({JOB: 1, CHAT: 1}, [], 2) == [hot(JOB), hot(CHAT)]
    assert warm_targets({}, [SPARE.spec, OTHER.spec], 2) == [SPARE, OTHER]
    assert warm_targets({}, [SPARE.spec], 1) == [SPARE]


@pytest.mark.parametrize(
    ("change", "fits_hot", "fits_spare"),
    [
        ({}, True, True),
        ({"prompt": "other", "instructions": "x", "timeout_seconds": 7, "json_schema": {}}, True, True),
        ({"model": "haiku"}, True, True),
        ({"agent": "other"}, False, True),
        ({"ref": "next"}, False, True),
        ({"max_budget_usd": 4.0}, False, False),
        ({"max_turns": 3}, False, False),
        ({"effort": "high"}, False, False),
        ({"workspace": "other"}, False, False),
    ],
    ids=str,
)
def test_a_process_is_for_what_it_can_still_be_told(
    change: dict[str, object], fits_hot: bool, fits_spare: bool
) -> None:
    wanted = ProcessSpec.of(AgentRequest.model_validate({"prompt": "hi", "agent": "upgrade", **change}))
    assert JOB.matches(wanted) == fits_hot
    assert JOB.as_spare().matches_as_spare(wanted) == fits_spare


def test_one_that_was_started_with_a_model_is_not_for_whoever_leaves_it_to_the_agents_file() -> None:
    assert not CHAT.matches(CHAT.model_copy(update={"model": None}))
    assert CHAT.matches(CHAT.model_copy(update={"model": "opus"}))


async def test_of_the_free_slots_the_best_is_taken_and_a_worse_one_can_be_exchanged() -> None:
    slots = Slots(3, Path("/slots"))
    assert (await slots.acquire(prefer=lambda slot: slot.index == 1)).index == 1
    given = await slots.acquire()
    assert given.index == 0
    assert slots.swap(given, lambda slot: slot.index).index == 2
    assert [slot.index for slot in slots.all_free()] == [0]
    assert slots.swap(given, lambda slot: 0) == given
