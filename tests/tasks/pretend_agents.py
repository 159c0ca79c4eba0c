"""Agents that exist only in memory, with levers for whatever can go wrong with them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Running, Scheduled

from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Outcome
from store.store import Store

NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)


class Away(Exception):
    """Prefect does not answer."""

    retryable = True


def outcome(text: str = "done", *, error: str | None = None, **members: Any) -> Outcome:
    """What an agent gave."""
    given = {"exit_code": 0, "output": [], "stderr": "", "text": text, "cost_usd": 0.25, "error": error}
    return Outcome(result=AgentResult(started_at=NOW, finished_at=NOW, **{**given, **members}), error=error)


class PretendAgents:
    """Runs end when `finish` is called, or, with `at_once`, as soon as they are looked at."""

    def __init__(self, store: Store, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.store = store
        self.runs: dict[UUID, FlowRun] = {}
        self.by_claim: dict[UUID, UUID] = {}
        self.requests: dict[UUID, AgentRequest] = {}
        self.titles: list[str] = []
        self.cancelled: list[UUID] = []
        self.looks = 0
        self.failures: list[Exception] = []
        self.lost_answers = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.endings: dict[str, tuple[State[Any], Outcome | None]] = {}
        self.most_at_once = 0

    async def start(self, request: AgentRequest, title: str, parent: UUID, claim_id: UUID) -> UUID:
        self._trouble()
        if claim_id not in self.by_claim:
            run_id = uuid4()
            self.by_claim[claim_id] = run_id
            self.titles.append(title)
            self.requests[run_id] = request
            state = Running() if self.at_once else Scheduled()
            self.runs[run_id] = FlowRun(id=run_id, name=title, flow_id=uuid4(), state=state)
            self.most_at_once = max(self.most_at_once, sum(not self._is_over(run) for run in self.runs.values()))
        await self.answers.wait()
        if self.lost_answers:
            self.lost_answers -= 1
            raise Away("the answer was lost")
        return self.by_claim[claim_id]

    async def look(self, run_ids: Collection[UUID]) -> dict[UUID, FlowRun]:
        self.looks += 1
        self._trouble()
        if self.at_once:
            for run_id in run_ids:
                if run_id in self.runs and not self._is_over(self.runs[run_id]):
                    await self.finish(run_id)
        return {run_id: self.runs[run_id] for run_id in run_ids if run_id in self.runs}

    async def cancel(self, run_ids: Collection[UUID]) -> None:
        self.cancelled += run_ids
        for run_id in run_ids:
            self._set(run_id, Cancelled(message="its triage was cancelled"))

    async def finish(self, run_id: UUID) -> None:
        """End the run as `endings` has it for its title, else well."""
        state, told = self.endings.get(self.runs[run_id].name, (Completed(), outcome()))
        if told is not None:
            await self.store.outcomes.save(run_id, told.model_dump_json())
        self._set(run_id, state)

    def run_of(self, title: str) -> UUID:
        """The last run of that title."""
        return [run_id for run_id, run in self.runs.items() if run.name == title][-1]

    def count(self, title: str) -> int:
        """How often an agent was started for it."""
        return self.titles.count(title)

    def _set(self, run_id: UUID, state: State[Any]) -> None:
        self.runs[run_id] = self.runs[run_id].model_copy(update={"state": state})

    def _is_over(self, run: FlowRun) -> bool:
        return run.state is not None and run.state.type in (
            StateType.COMPLETED,
            StateType.FAILED,
            StateType.CRASHED,
            StateType.CANCELLED,
        )

    def _trouble(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
