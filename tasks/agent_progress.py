"""How far an agent is: what it did last, and how much of its time it has used."""

from __future__ import annotations

import asyncio

from agent.events import Event, Said, ToolCalled
from agent.item import shorten
from agent.models import AgentRequest
from agent.printable import escaped
from tasks.live import Progress
from tasks.sinks import describe

_STEP_CHARACTERS = 200


class AgentProgress:
    """Counts along; `look` tells how far it is."""

    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._began = asyncio.get_running_loop().time()
        self._calls = 0
        self._step = "the agent was started"

    def sink(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case ToolCalled() | Said():
                self._calls += isinstance(event, ToolCalled)
                self._step = shorten(describe(event) or "", _STEP_CHARACTERS)

    def look(self) -> Progress:
        """How much of its time is used up, and in words what it did."""
        seconds, limit = asyncio.get_running_loop().time() - self._began, self._request.timeout_seconds
        done = f"{_clock(seconds)} of {_clock(limit)} minutes, {self._calls} tool calls. Last: {escaped(self._step)}"
        return Progress(percent=round(min(100.0, 100 * seconds / limit), 1), text=done)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
