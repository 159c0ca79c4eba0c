"""One pass over the items of a plan: who gets which, within the caps, and what came of it."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

from agent.domain.result import Outcome
from agent.domain.values import Frozen
from agent.system.concurrency import run_to_completion
from store.handled_items import ClaimTerms, ItemAttempt, ItemClaim
from tasks.progress_artifact import Progress
from tasks.triage.budget import Budget
from tasks.triage.context import TriageContext
from tasks.triage.item_result import ItemResult, describe_item, item_result
from tasks.triage.items import Item
from tasks.triage.models import ItemReport, TriageRequest, agent_request
from tasks.triage.plan_items import Plan, load_outcome
from tasks.triage.prompt import PromptFailed
from tasks.triage.run_watcher import Logger, RunWatcher

T = TypeVar("T")

_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_RENEWALS = 4


class HandlingResult(Frozen):
    """What came of a round."""

    reports: list[ItemReport]
    handled_before: int
    elsewhere: int
    waiting: int
    notes: list[str]


class ItemHandling:
    """What a triage does with its items."""

    def __init__(self, request: TriageRequest, plan: Plan, run: TriageContext, logger: Logger) -> None:
        self._reports = list(plan.reports)
        self._elsewhere = plan.elsewhere
        self._handled_before = plan.handled_before
        self._waiting = 0
        self._notes: list[str] = []
        self._request = request
        self._items = plan.items
        self._done_before = len(plan.reports)
        self._run = run
        self._logger = logger
        self._mark = f"item-{secrets.token_hex(6)}"
        self._spending = Budget(request.max_cost_usd, sum(report.cost_usd or 0.0 for report in plan.reports))
        self._room = asyncio.Semaphore(request.at_once)
        self._endings = RunWatcher(run.agents, logger)
        self._at_work: set[UUID] = set()

    async def run(self) -> HandlingResult:
        """Hand out the items in their order, and wait until the agents are done, or `max_wait_seconds` have passed."""
        async with self._alongside(), asyncio.TaskGroup() as handling:
            await self._hand_out(handling)
        return HandlingResult(
            reports=self._reports,
            handled_before=self._handled_before,
            elsewhere=self._elsewhere,
            waiting=self._waiting,
            notes=self._notes,
        )

    async def _hand_out(self, handling: asyncio.TaskGroup) -> None:
        request, loop = self._request, asyncio.get_running_loop()
        deadline = loop.time() + request.max_wait_seconds
        started = len(self._reports)
        for position, item in enumerate(self._items):
            if started >= request.max_items:
                self._leave(position, f"max_items allows {request.max_items} items in one run")
                break
            await self._room.acquire()
            affordable = await self._spending.set_aside(request.max_budget_usd)
            if not affordable:
                self._leave(position, f"max_cost_usd allows ${request.max_cost_usd:g} in one run")
                break
            if loop.time() > deadline:
                self._leave(position, f"max_wait_seconds allows {request.max_wait_seconds} s for one run")
                break
            claim = await self._claim(item)
            if claim.answer == "mine":
                started += 1
                handling.create_task(self._handle(item, claim.handling, deadline))
            else:
                self._count_loss(claim)
                await self._free(0.0)

    def progress(self) -> Progress:
        """How many of the items are done with, and how."""
        total = len(self._items) + self._done_before
        counts = Counter(report.status for report in self._reports)
        told = [f"{number} {status}" for status, number in counts.items()]
        told += [f"{len(self._at_work)} handed out"] if self._at_work else []
        told += [f"{self._waiting} waiting for the next run"] if self._waiting else []
        cost = sum(report.cost_usd or 0.0 for report in self._reports)
        text = f"{len(self._reports)} of {total} items: {', '.join(told) or 'none begun'}. Cost so far ${cost:.4f}"
        return Progress(percent=round(100 * len(self._reports) / max(1, total), 1), text=text)

    async def abandon(self) -> None:
        """End the agents that are at work, or wait, for this triage; how they end is settled by the next one."""
        if self._at_work:
            await self._run.agents.cancel(list(self._at_work))

    def _leave(self, position: int, reason: str) -> None:
        self._waiting = len(self._items) - position
        self._notes.append(f"{self._waiting} items wait for the next run: {reason}")

    def _count_loss(self, claim: ItemClaim) -> None:
        """Another triage was quicker since the plan was made."""
        if claim.answer == "elsewhere":
            self._elsewhere += 1
        else:
            self._handled_before += 1

    async def _free(self, cost_usd: float | None) -> None:
        await self._spending.settle(self._request.max_budget_usd, cost_usd)
        self._room.release()

    async def _claim(self, item: Item) -> ItemClaim:
        terms = ClaimTerms(self._request.max_attempts, self._request.again, self._run.lease)
        return await self._persist(
            lambda: self._run.store.handled.claim(
                self._request.name, item.key, item.fingerprint, self._run.run_id, terms
            )
        )

    async def _handle(self, item: Item, handling: ItemAttempt, deadline: float) -> None:
        """Have one item handled, and tell how."""
        cost_usd: float | None = 0.0
        try:
            try:
                run_id = handling.run_id or await self._start(item, handling)
            except Exception as failure:
                # no agent has seen the item; only what is its own fault counts against it
                ending = ItemResult("failed", str(failure), counts=isinstance(failure, PromptFailed))
                self._reports.append(await self._settle(item, handling, ending, None, None))
                return
            self._at_work.add(run_id)
            report = await self._finish(item, handling, run_id, deadline)
            cost_usd = report.cost_usd
            self._reports.append(report)
        finally:
            await self._free(cost_usd)

    async def _start(self, item: Item, handling: ItemAttempt) -> UUID:
        """Queue a run for the item; asked again after an answer was lost, Prefect gives the same one."""
        request = agent_request(self._request, item, self._mark)
        run = self._run

        async def queue() -> UUID:
            run_id = await run.agents.start(request, item.title, run.run_id, handling.claim_id)
            self._at_work.add(run_id)
            await run.store.handled.begin(handling.claim_id, run_id)
            return run_id

        # a run that is being queued while the triage is cancelled has to be known, to be ended with the others
        run_id = await self._persist(lambda: run_to_completion(queue()))
        self._logger.info("%s: handed to %s", item.title, request.agent)
        return run_id

    async def _finish(self, item: Item, handling: ItemAttempt, run_id: UUID, deadline: float) -> ItemReport:
        try:
            async with asyncio.timeout_at(deadline):
                flow_run = await self._endings.of(run_id)
        except TimeoutError:
            reason = f"its agent was not done after {self._request.max_wait_seconds} s; the next run goes on with it"
            return describe_item(item, "at work", run_id=run_id, attempts=handling.attempts, error=reason)
        outcome = await self._persist(lambda: load_outcome(self._run.store, run_id))
        self._at_work.discard(run_id)
        return await self._settle(item, handling, item_result(flow_run, outcome), run_id, outcome)

    async def _settle(
        self, item: Item, handling: ItemAttempt, ending: ItemResult, run_id: UUID | None, outcome: Outcome | None
    ) -> ItemReport:
        store = self._run.store.handled
        await self._persist(lambda: store.settle(handling.claim_id, ending.status, ending.error, counts=ending.counts))
        error = ending.error
        if ending.status == "failed" and ending.counts and handling.attempts >= self._request.max_attempts:
            error = f"{error} (set aside: it failed {handling.attempts} times)"
        self._logger.info("%s: %s", item.title, error or "done")
        return describe_item(
            item, ending.status, run_id=run_id, attempts=handling.attempts, outcome=outcome, error=error
        )

    @asynccontextmanager
    async def _alongside(self) -> AsyncIterator[None]:
        """While the items are handled: watch their runs, and keep the claims alive."""
        tasks = [asyncio.create_task(self._endings.watch()), asyncio.create_task(self._renew())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            try:
                await self._run.store.handled.renew(self._run.run_id)
            except Exception as error:
                self._logger.warning("cannot renew the claims on the items: %s", error)
            await asyncio.sleep(self._run.lease.total_seconds() / _RENEWALS)

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result, however often it has to be made: Prefect and the store come back."""
        pause = _PAUSE_SECONDS
        while True:
            try:
                return await call()
            except Exception as error:
                if not getattr(error, "retryable", False):
                    raise
                self._logger.warning("%s; trying again in %.1f s", error, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
