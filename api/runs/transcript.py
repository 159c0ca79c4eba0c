"""A run as it is heard: from its first word, by any number of listeners, whenever they come."""

from __future__ import annotations

import asyncio
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from agent.domain.events import Event, ModelRetried, Warned
from agent.domain.result import Outcome
from api.runs.narration import Narration, Piece


class RunTranscript:
    """Takes what a run says, and wakes whoever waits for more of it."""

    def __init__(self) -> None:
        self.run_id: UUID | None = None
        self.is_alive = False
        """The agent has given a sign of life."""
        self._narration = Narration()
        self._pieces: list[Piece] = []
        self._outcome: Outcome | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def begin(self, run_id: UUID) -> None:
        """There is a run, and it has a slot."""
        self.run_id = run_id
        self._change()

    def hear(self, event: Event) -> None:
        """A sink for the run's events."""
        self.is_alive = self.is_alive or not isinstance(event, Warned | ModelRetried)
        self._pieces += self._narration.read(event)
        self._change()

    def end(self, outcome: Outcome) -> None:
        """This is what it came to; an answer that was never said is said now."""
        if outcome.error is None and outcome.result is not None and outcome.result.structured is None:
            self._pieces += self._narration.rest(outcome.result.text or "")
        self._outcome = outcome
        self._change()

    def fail(self, failure: Exception) -> None:
        """It came to nothing: every listener gets `failure` raised."""
        self._failure = failure
        self._change()

    @property
    def is_over(self) -> bool:
        """Nothing more is to come."""
        return self._outcome is not None or self._failure is not None

    @property
    def length(self) -> int:
        """How many pieces there are so far."""
        return len(self._pieces)

    def since(self, start: int) -> list[Piece]:
        """The pieces from number `start` on, joined where neighbours are of one kind."""
        return [
            Piece(kind, "".join(piece.text for piece in pieces))
            for kind, pieces in groupby(self._pieces[start:], key=attrgetter("kind"))
        ]

    async def change(self, seconds: float | None = None) -> bool:
        """Wait until something has been added; False if nothing was within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def outcome(self) -> Outcome:
        """What the run came to, once it is known; raises what kept it from that."""
        while not self.is_over:
            await self.change()
        if self._failure is not None:
            raise self._failure
        assert self._outcome is not None
        return self._outcome

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
