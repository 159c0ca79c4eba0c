"""Merges the results of all turns of a run into the one result message that the run is judged by."""

from __future__ import annotations

import json

from agent.claude.stream_json import Message, is_as_parsed


class RunAnswer:
    """The result messages of one run so far, made by its TurnOutput.

    The last result counts: its cost and usage include all before. A last turn that said nothing, or did not repeat a
    structured answer, leaves the answer of the turn before.
    """

    def __init__(self, *, structured: bool) -> None:
        self._structured = structured
        self._answer: Message = {}
        self._turns = 0
        self.message: Message | None = None
        self.line: str | None = None
        """The message as printed, or as merged."""

    def add(self, message: Message, line: str) -> None:
        """Take the result of one more turn; `line` is the message as printed."""
        turns = message.get("num_turns")
        self._turns += turns if isinstance(turns, int) else 0
        if self._has_answer(message):
            self._answer = message
        merged = message if self.message is None else self._merge(message)
        if merged is not message or not is_as_parsed(line):
            line = json.dumps(merged, ensure_ascii=False)
        self.message, self.line = merged, line

    def _has_answer(self, message: Message) -> bool:
        return message.get("structured_output") is not None if self._structured else bool(message.get("result"))

    def _merge(self, message: Message) -> Message:
        earlier: Message = {
            name: self._answer[name] for name in ("result", "structured_output") if name in self._answer
        }
        if is_error(message):
            return {**earlier, **message, "num_turns": self._turns}
        return {**message, **earlier, "num_turns": self._turns}


def is_error(message: Message) -> bool:
    """True if the CLI calls it a failure."""
    return bool(message.get("is_error")) or message.get("subtype") != "success"
