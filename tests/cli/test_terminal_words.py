"""What the terminal makes of numbers, moments, ids and events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from agent.claude.stream_json import read_events
from agent.domain.events import Ended, Event, ModelAnswered, Said, Started, ToolCalled, ToolReturned
from agent.domain.result import Usage
from cli.client.job_ids import BEGINNING, WHOLE, shortened
from cli.display.formatting import age, dollars, duration, read_moment, tokens
from cli.display.job_view import open_view
from cli.display.run_totals import RunTotals

JOB: dict[str, Any] = {"agent": "a", "started_at": "2026-01-01T00:00:00+00:00"}


def test_figures_are_short() -> None:
    assert [duration(seconds) for seconds in (-1, 42.9, 723, 3850)] == ["0:00", "0:42", "12:03", "1:04:10"]
    assert [tokens(count) for count in (0, 999, 12_345, 999_949, 1_200_000)] == ["0", "999", "12.3k", "999.9k", "1.2M"]
    assert [dollars(amount) for amount in (0, 0.0002, 0.0017, 5)] == ["$0.00", "$0.000200", "$0.0017", "$5.00"]
    assert age(datetime.now(UTC) - timedelta(hours=30)) == "1d ago"
    assert age(datetime.now(UTC) + timedelta(hours=3, minutes=1)) == "in 3h"


def test_moments_are_taken_as_people_say_them() -> None:
    assert abs(datetime.now(UTC) - timedelta(hours=12) - read_moment("12h")) < timedelta(seconds=5)
    assert read_moment("2026-03-01T12:00:00Z") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert read_moment("2026-03-01").tzinfo is not None
    with pytest.raises(ValueError, match="soon"):
        read_moment("soon")


def test_a_tally_counts_turns_and_tokens_and_tells_the_price_at_the_end() -> None:
    tally = RunTotals(budget_usd=5)
    used = Usage(input_tokens=10, cache_read_input_tokens=990, output_tokens=7)
    assert str(tally) == "at most $5.00"
    for event in (
        Started(session_id="s", model="m"),
        ModelAnswered(usage=used),
        ModelAnswered(usage=used, by_subagent=True),
    ):
        tally.count(event)
    assert str(tally) == "1 turn · 2.0k tokens in, 14 out · at most $5.00"
    tally.count(Ended(status="completed", cost_usd=0.0123))
    assert str(tally) == "1 turn · 2.0k tokens in, 14 out · $0.0123"


@pytest.mark.parametrize("parent", [None, "toolu_1"])
def test_the_end_of_a_model_call_tells_what_it_took(parent: str | None) -> None:
    event = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5, "input_tokens": 3, "new": {}}}
    message = {"type": "stream_event", "parent_tool_use_id": parent, "event": event}
    usage = Usage(input_tokens=3, output_tokens=5)
    assert read_events(message) == [ModelAnswered(usage=usage, by_subagent=parent is not None)]


def test_an_id_is_shortened_to_what_tells_it_from_the_others() -> None:
    ids = ["01a203d7-625a-77cb-b8d1", "01a203d7-625a-78b5-b58c", "f36980ff-d5f0-4182-8855"]
    assert [shortened(one, ids) for one in ids] == ["01a203d7-625a-77", "01a203d7-625a-78", "f36980ff"]
    assert all(BEGINNING.fullmatch(shortened(one, ids)) for one in ids)


def test_whole_ids_and_beginnings_are_told_apart() -> None:
    assert WHOLE.fullmatch(str(uuid4()))
    assert not BEGINNING.fullmatch("last")
    assert not BEGINNING.fullmatch("abc")
    assert BEGINNING.fullmatch("abcd")


def lines(capsys: pytest.CaptureFixture[str], *events: Event) -> list[str]:
    with open_view(JOB, RunTotals(), quiet=False) as view:
        for event in events:
            view.show(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_elsewhere_than_on_a_terminal_each_step_is_a_line_and_the_last_words_are_the_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = lines(
        capsys,
        Said(text="I look.\nHere."),
        ToolCalled(id="1", name="Bash", input={"command": "ls\nrm x"}),
        ModelAnswered(usage=Usage()),
        ToolReturned(id="1", text="a\nb"),
        Said(text="the answer"),
        ModelAnswered(usage=Usage()),
        Ended(status="completed"),
    )
    assert said == ["I look.", "Here.", "→ Bash ls rm x", "← a b"]


def test_what_an_agent_says_does_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = lines(capsys, Said(text="[red]\x1b]0;owned\x07\x1b[2Jboo\u202e"), Said(text="end"), Said(text="end"))
    assert said == ["[red]boo", "end"]
