"""An answer ends where a stop sequence begins, in one piece or in many."""

import pytest

from api.openai.stop_sequences import StopSequences

CASES = [
    ("a STOP b", ["STOP"], "a "),
    ("a STO b", ["STOP"], "a STO b"),
    ("aab", ["ab"], "a"),
    ("one two", ["two", "one"], ""),
    ("nothing", [], "nothing"),
    ("nothing", [""], "nothing"),
    ("ends with ST", ["STOP"], "ends with ST"),
    ("\nObservation: x", ["\nObservation:"], ""),
    ("abababac", ["ababac"], "ab"),
]


@pytest.mark.parametrize(("text", "sequences", "kept"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pieces_come_to_what_the_whole_is_cut_to(text: str, sequences: list[str], kept: str, size: int) -> None:
    stop = StopSequences(sequences)
    pieces = [stop.add(text[start : start + size]) for start in range(0, len(text), size)]
    assert "".join(pieces) + stop.rest() == StopSequences(sequences).cut(text) == kept


def test_only_what_may_begin_a_sequence_is_held_back() -> None:
    stop = StopSequences(["STOP"])
    assert [stop.add("a S"), stop.add("T"), stop.add("x"), stop.add("y")] == ["a ", "", "STx", "y"]
