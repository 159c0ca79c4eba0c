"""Progress of an agent: last action and share of its time limit."""

from __future__ import annotations

import asyncio

from agent.claude.event_lines import describe
from agent.domain.events import Event, ModelAnswered, Said, ToolCalled
from agent.domain.request import AgentRequest
from agent.system.text import shorten
from tasks.markdown import escaped
from tasks.progress_artifact import Progress

_STEP_CHARACTERS = 200


class AgentProgress:
    """The progress of one run, counted from its events; lives as long as the invocation."""

    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._began = asyncio.get_running_loop().time()
        self._turns = 0
        self._tokens = 0
        self._step = "the agent was started"

    def sink(self, event: Event) -> None:
        """Count one event."""
        match event:
            case ModelAnswered():
                self._turns += not event.by_subagent
                self._tokens += event.usage.output_tokens
            case ToolCalled() | Said():
                self._step = shorten(describe(event) or "", _STEP_CHARACTERS)

    def look(self) -> Progress:
        """Return the used share of the time limit, and the last step in words."""
        seconds, limit = asyncio.get_running_loop().time() - self._began, self._request.timeout_seconds
        used = f"{_clock(seconds)} of {_clock(limit)} minutes, {self._turns} turns, {self._tokens:,} tokens out"
        return Progress(
            percent=round(min(100.0, 100 * seconds / limit), 1), text=f"{used}. Last: {escaped(self._step)}"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
