"""What an agent says in blocks and pieces, told as one text."""

import pytest

from agent.domain.events import (
    Event,
    ModelRetried,
    Said,
    Started,
    TextDelta,
    ThinkingDelta,
    Thought,
    ToolCalled,
    ToolReturned,
)
from api.runs.narration import Narration

TOOL = [ToolCalled(id="1", name="Bash", input={"command": "ls -l"}), ToolReturned(id="1", text="a\nb")]
CUT = ModelRetried(attempt=1, status=None, error="unknown", delay_seconds=0.5)


def told(*events: Event, kind: str = "text") -> str:
    narration = Narration()
    return "".join(piece.text for event in events for piece in narration.add(event) if piece.kind == kind)


def deltas(*texts: str) -> list[Event]:
    return [*(TextDelta(text=text) for text in texts), Said(text="".join(texts))]


def test_pieces_are_told_as_they_come_and_the_whole_is_not_told_again() -> None:
    assert told(Started(session_id="s", model="m"), *deltas("Hel", "lo", " there")) == "Hello there"


def test_a_blank_line_stands_for_the_tools_between_two_texts() -> None:
    assert told(*deltas("Let me look."), *TOOL, *TOOL, *deltas("There", " is one.")) == "Let me look.\n\nThere is one."


def test_tools_before_the_first_text_leave_nothing() -> None:
    assert told(*TOOL, *deltas("Done.")) == "Done."


def test_blocks_with_nothing_between_them_are_one_text() -> None:
    assert told(*deltas("An answer that was cut at its lim"), *deltas("it and goes on.")) == (
        "An answer that was cut at its limit and goes on."
    )


def test_what_did_not_come_in_pieces_is_told_as_a_whole() -> None:
    assert told(Said(text="All at once.")) == "All at once."
    assert told(TextDelta(text="All "), Said(text="All at once.")) == "All at once."


def test_an_attempt_that_broke_off_is_followed_by_the_next_after_a_blank_line() -> None:
    assert told(*deltas("One two thr")[:-1], CUT, *deltas("One two three.")) == "One two thr\n\nOne two three."


@pytest.mark.parametrize("cut", [CUT, *TOOL[:1]])
def test_so_it_is_when_the_next_one_comes_as_a_whole(cut: Event) -> None:
    assert told(TextDelta(text="One two thr"), cut, Said(text="1 2 3")) == "One two thr\n\n1 2 3"


def test_a_block_that_was_told_twice_in_pieces_is_not_told_a_third_time() -> None:
    assert told(TextDelta(text="One"), TextDelta(text="One two"), Said(text="One two")) == "OneOne two"


def test_thinking_is_a_text_of_its_own() -> None:
    events = [ThinkingDelta(text="h"), ThinkingDelta(text="m"), Thought(text="hm"), *deltas("Well."), *TOOL]
    assert told(*events, Thought(text="so"), kind="thinking") == "hm\n\nso"
    assert told(*events) == "Well."


def test_tools_are_steps_of_one_line_each() -> None:
    assert told(*TOOL, kind="step") == "→ Bash ls -l\n← a b\n"


@pytest.mark.parametrize("thought", ["hm", "hm\n"])
def test_a_step_after_a_thought_begins_a_line(thought: str) -> None:
    narration = Narration()
    events = [ThinkingDelta(text=thought), Thought(text=thought), *TOOL]
    assert "".join(piece.text for event in events for piece in narration.add(event)) == "hm\n→ Bash ls -l\n← a b\n"


@pytest.mark.parametrize(
    ("said", "answer", "rest"),
    [
        ("Done.", "Done.", ""),
        ("Done.", " Done.\n", ""),
        ("and this.", "First this, and this.", ""),
        ("", "Never said.", "Never said."),
        ("Something.", "Another thing.", "\n\nAnother thing."),
        ("Something.", "", ""),
        ("", " \n", ""),
    ],
)
def test_an_answer_that_was_not_said_is_told_at_the_end(said: str, answer: str, rest: str) -> None:
    narration = Narration()
    for event in deltas(said) if said else []:
        narration.add(event)
    assert "".join(piece.text for piece in narration.add_answer(answer)) == rest
