"""Which background tasks a run waits for, told by the CLI's messages alone."""

from __future__ import annotations

from typing import Any

import pytest

from agent.claude.background_work import BackgroundWork

CALL = {"type": "stream_event", "parent_tool_use_id": None, "event": {"type": "message_start"}}
RESULT = {"type": "result"}


def tasks(**kinds: str) -> dict[str, Any]:
    live = [{"task_id": name, "task_type": kind} for name, kind in kinds.items()]
    return {"type": "system", "subtype": "background_tasks_changed", "tasks": live}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def work(clock: Clock) -> BackgroundWork:
    return BackgroundWork(clock)


def test_a_task_that_ends_after_the_last_model_call_began_wakes_the_model(work: BackgroundWork) -> None:
    for message in (CALL, tasks(a="local_agent"), CALL, tasks(), RESULT):
        work.note(message)
    assert (work.live, work.will_wake, work.in_turn) == ([], True, False)


def test_one_that_ends_before_a_model_call_is_reported_in_it(work: BackgroundWork) -> None:
    for message in (CALL, tasks(a="local_agent"), tasks(), CALL, RESULT):
        work.note(message)
    assert not work.will_wake


def test_a_call_of_a_helper_is_none_of_the_agents(work: BackgroundWork) -> None:
    for message in (tasks(a="local_agent"), tasks(), CALL | {"parent_tool_use_id": "toolu_1"}, RESULT):
        work.note(message)
    assert work.will_wake


def test_each_command_is_waited_for_from_the_first_result_that_it_outlived(work: BackgroundWork, clock: Clock) -> None:
    work.note(tasks(server="local_bash"))
    work.note(RESULT)
    clock.now = 110
    work.note(CALL)  # a watch that wakes the model again and again does not move its own end
    work.note(RESULT)
    assert work.commands_end_at(20) == 120
    work.note(tasks(server="local_bash", build="local_bash"))
    assert work.commands_end_at(20) == 130


def test_what_others_run_is_not_waited_for(work: BackgroundWork) -> None:
    ambient = {"task_id": "a", "task_type": "dream", "ambient": True}
    remote = {"task_id": "b", "task_type": "remote_agent", "off_host": True}
    work.note({"type": "system", "subtype": "background_tasks_changed", "tasks": [ambient, remote, "nonsense"]})
    assert work.live == []
