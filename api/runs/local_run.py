"""A run on this host, heard by a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from agent.claude.turn import Content
from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from api.runs.transcript import RunTranscript
from deployments.host.host import Host


async def no_more_to_do(_run_id: UUID) -> None:
    """A run that nobody else has to hear of."""


@dataclass(frozen=True)
class LocalRun:
    """Asks this host for a run: the source of a call that nobody can know of at another host."""

    host: Host
    request: AgentRequest
    content: Callable[[], Awaitable[Content | None]]
    tags: Sequence[str]
    wait_seconds: float

    async def run(
        self, transcript: RunTranscript, started: Callable[[UUID], Awaitable[None]] = no_more_to_do
    ) -> Outcome:
        """Have it run; cancelled, it ends the run. Raises what `Host.inline` and `started` do."""
        async with self.host.inline(
            self.request,
            tags=[*self.tags],
            wait_seconds=self.wait_seconds,
            content=await self.content(),
            sink=transcript.hear,
        ) as run:
            await started(run.run_id)
            transcript.begin(run.run_id)
            return await run.outcome()

    async def is_awaited(self) -> bool:
        """Whether somebody waits for it at another host: never."""
        return False
