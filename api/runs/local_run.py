"""Run source: a new run on this host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from agent.claude.turn import Content
from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from api.runs.shared_run import RunSource
from api.runs.transcript import RunTranscript
from deployments.host.host import Host


async def ignore_start(_run_id: UUID) -> None:
    """Do nothing; for a run without an Idempotency-Key."""


@dataclass(frozen=True)
class LocalRun(RunSource):
    """Starts one run on this host; made for each request, used if no run of that request is in progress.

    `content` is called once, just before the run: images by URL are downloaded for runs only.
    """

    host: Host
    request: AgentRequest
    content: Callable[[], Awaitable[Content | None]]
    tags: Sequence[str]
    wait_seconds: float

    async def run(
        self, transcript: RunTranscript, started: Callable[[UUID], Awaitable[None]] = ignore_start
    ) -> Outcome:
        """Run to the end; a cancelled call cancels the run. Raises what `InlineRuns.start` and `started` do."""
        async with self.host.inline.start(
            self.request,
            tags=[*self.tags],
            wait_seconds=self.wait_seconds,
            content=await self.content(),
            sink=transcript.on_event,
        ) as run:
            await started(run.run_id)
            transcript.start(run.run_id)
            return await run.outcome()
