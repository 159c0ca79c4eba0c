"""Collects what one run has given so far, from the messages of its process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from agent.claude.answer.run_answer import RunAnswer, is_error
from agent.claude.process import AgentProcess
from agent.claude.stream_json import read_stop_reason
from agent.domain.events import (
    Event,
    ModelAnswered,
    Said,
    Started,
    TextDelta,
    ThinkingDelta,
    Thought,
    ToolCalled,
    ToolReturned,
)
from agent.domain.result import Ending, Invocation
from agent.system.numbers import read_amount

_PRINTED_CHARACTERS = 65_536


class TurnOutput:
    """The output of one run, made by its Turn and written by it alone; `ending` and `violation` are set by the Turn."""

    def __init__(self, process: AgentProcess, *, structured: bool) -> None:
        self._process = process
        self._started_at = datetime.now(UTC)
        self._started: Started | None = None
        self._acted = False
        self._open_tools: set[str] = set()
        self._hook_reason: str | None = None
        self._printed = ""
        self.answer = RunAnswer(structured=structured)
        self.ending: Ending = "exit"
        self.violation: str | None = None

    @property
    def has_open_tools(self) -> bool:
        """True while a tool runs."""
        return bool(self._open_tools)

    def add_printed(self, line: str) -> None:
        """Keep a line that is no message."""
        self._printed = f"{self._printed}{line[-_PRINTED_CHARACTERS:]}\n"[-_PRINTED_CHARACTERS:]

    def add_message(self, message: dict[str, Any], line: str) -> None:
        """Keep a result, or why a hook stopped the agent."""
        if message["type"] == "result":
            self.answer.add(message, line)
        else:
            self._hook_reason = read_stop_reason(message) or self._hook_reason

    def add_events(self, events: Sequence[Event]) -> list[Event]:
        """Take events into account and return those to pass on: a run starts once, whatever its number of turns."""
        new = [event for event in events if not (self._started and isinstance(event, Started))]
        for event in new:
            match event:
                case Started():
                    self._started = event
                case ToolCalled():
                    self._acted = True
                    self._open_tools.add(event.id)
                case ToolReturned():
                    self._open_tools.discard(event.id)
                case Said() | TextDelta() | Thought() | ThinkingDelta() | ModelAnswered():
                    # thinking is billed too: such a run is not begun again
                    self._acted = True
        return new

    def invocation(self) -> Invocation:
        """Return the output so far, not redacted."""
        return Invocation(
            started_at=self._started_at,
            finished_at=datetime.now(UTC),
            ending=self.ending,
            acted=self._acted or self._was_billed(),
            exit_code=self._exit_code(),
            session_id=self._started.session_id if self._started else None,
            model=self._started.model if self._started else None,
            result_line=self.answer.line,
            violation=self.violation,
            hook_reason=self._hook_reason,
            printed=self._printed,
            stderr=self._process.stderr,
        )

    def _was_billed(self) -> bool:
        return bool(read_amount((self.answer.message or {}).get("total_cost_usd")))

    def _exit_code(self) -> int | None:
        """Return the agent's exit status; one that we caused after its answer is not the agent's."""
        status, message = self._process.exit_code, self.answer.message
        is_own = status is not None and not self._process.was_ended
        if is_own or self.ending != "exit":
            return status
        if message is not None:
            return int(is_error(message))
        return 0 if self._printed else status
