"""The text of a run in progress, for any number of readers."""

from __future__ import annotations

import asyncio
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from agent.domain.events import Event, ModelRetried, Warned
from agent.domain.result import Outcome
from api.runs.narration import Narration, Piece


class RunTranscript:
    """Collects the text of one run and wakes its readers; one per shared run, complete from the run's first event."""

    def __init__(self, *, is_repeated: bool = False) -> None:
        self.is_repeated = is_repeated
        """True if the run failed for an earlier request, and this one repeats the failure."""
        self.run_id: UUID | None = None
        self.has_agent_event = False
        """True once an event came from the agent itself, and not from us or from the provider's refusals."""
        self._narration = Narration()
        self._pieces: list[Piece] = []
        self._outcome: Outcome | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def start(self, run_id: UUID) -> None:
        """Record that the run exists and has a slot."""
        self.run_id = run_id
        self._wake()

    def on_event(self, event: Event) -> None:
        """Add an event of the run; a sink."""
        self.has_agent_event = self.has_agent_event or not isinstance(event, Warned | ModelRetried)
        self._pieces += self._narration.add(event)
        self._wake()

    def finish(self, outcome: Outcome) -> None:
        """Record the outcome, and add what no event has said of its answer."""
        if outcome.error is None and outcome.result is not None and outcome.result.structured is None:
            self._pieces += self._narration.add_answer(outcome.result.text or "")
        self._outcome = outcome
        self._wake()

    def fail(self, failure: Exception) -> None:
        """Record that there is no outcome; `outcome` raises `failure` for each reader."""
        self._failure = failure
        self._wake()

    @property
    def is_over(self) -> bool:
        """True if nothing more is added."""
        return self._outcome is not None or self._failure is not None

    @property
    def length(self) -> int:
        """The number of pieces so far."""
        return len(self._pieces)

    def since(self, start: int) -> list[Piece]:
        """Return the pieces from number `start` on, neighbours of one kind joined."""
        return [
            Piece(kind, "".join(piece.text for piece in pieces))
            for kind, pieces in groupby(self._pieces[start:], key=attrgetter("kind"))
        ]

    async def wait_for_change(self, seconds: float | None = None) -> bool:
        """Wait until something has been added; False if nothing was within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def outcome(self) -> Outcome:
        """Return the run's outcome once it is known. Raises what `fail` was given."""
        while not self.is_over:
            await self.wait_for_change()
        if self._failure is not None:
            raise self._failure
        assert self._outcome is not None
        return self._outcome

    def _wake(self) -> None:
        self._changed.set()
        # a new event each time: a reader that is not back from its work yet waits on the next one
        self._changed = asyncio.Event()
