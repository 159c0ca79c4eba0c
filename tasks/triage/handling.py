"""Hands out the planned items within the caps and records each result."""

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
from agent.system.text import shorten
from store.handled_items import ClaimTerms, ItemAttempt, ItemClaim
from tasks.items.files import has_files, store_files
from tasks.items.items import Item
from tasks.items.prompt import PromptFailed
from tasks.progress_artifact import Progress
from tasks.sources.listing import read_item_details
from tasks.stored_outcome import load_outcome
from tasks.triage.budget import Budget
from tasks.triage.context import TriageContext
from tasks.triage.item_result import KEY_CHARACTERS, ItemResult, describe_item, item_result, record_verdict
from tasks.triage.models import ItemReport, TriageRequest, agent_request
from tasks.triage.plan_items import Plan
from tasks.triage.run_watcher import Logger, RunWatcher

T = TypeVar("T")

_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
# within one lease: three renewals may fail before another triage may take the claims
_RENEWALS = 4


class HandlingResult(Frozen):
    """The reports of the handled items, and why others were not handled; made once, at the end of the handling."""

    reports: list[ItemReport]
    handled_before: int
    claimed_elsewhere: int
    left_for_next_run: int
    notes: list[str]


class ItemHandling:
    """The handling of one plan: claims, agent runs and results. Made by the task `handle_items`, used once."""

    def __init__(self, request: TriageRequest, plan: Plan, run: TriageContext, logger: Logger) -> None:
        self._request = request
        self._plan = plan
        self._run = run
        self._logger = logger
        self._reports = list(plan.reports)
        self._handled_before = plan.handled_before
        self._claimed_elsewhere = plan.claimed_elsewhere
        self._left_for_next_run = 0
        self._notes: list[str] = []
        # strangers cannot guess the mark, so no item can end it
        self._mark = f"item-{secrets.token_hex(6)}"
        self._budget = Budget(request.max_cost_usd, sum(report.cost_usd or 0.0 for report in plan.reports))
        self._places = asyncio.Semaphore(request.at_once)
        self._watcher = RunWatcher(run.agents, logger)
        self._running: set[UUID] = set()
        self._alike: dict[str, list[tuple[Item, ItemAttempt]]] = {}
        self._results: dict[str, ItemResult] = {}

    async def run(self) -> HandlingResult:
        """Start the items in their order, and wait until their agents end or `max_wait_seconds` have passed."""
        async with self._background(), asyncio.TaskGroup() as attempts:
            await self._start_items(attempts)
        return HandlingResult(
            reports=self._reports,
            handled_before=self._handled_before,
            claimed_elsewhere=self._claimed_elsewhere,
            left_for_next_run=self._left_for_next_run,
            notes=self._notes,
        )

    async def _start_items(self, attempts: asyncio.TaskGroup) -> None:
        request, loop = self._request, asyncio.get_running_loop()
        deadline = loop.time() + request.max_wait_seconds
        started = len(self._reports)
        for position, item in enumerate(self._plan.items):
            if started >= request.max_items:
                self._stop_early(position, f"max_items allows {request.max_items} items in one run")
                break
            await self._places.acquire()
            if not await self._budget.reserve(request.max_budget_usd):
                self._stop_early(position, f"max_cost_usd allows ${request.max_cost_usd:g} in one run")
                break
            if loop.time() > deadline:
                self._stop_early(position, f"max_wait_seconds allows {request.max_wait_seconds} s for one run")
                break
            claim = await self._claim(item)
            match claim.answer:
                case "mine":
                    started += 1
                    attempts.create_task(self._handle(item, claim.handling, deadline))
                    continue
                case "elsewhere":
                    self._claimed_elsewhere += 1
                case "done" | "tried" | "set aside":
                    # another triage was quicker since the plan was made
                    self._handled_before += 1
            await self._release(0.0)

    def progress(self) -> Progress:
        """Return the share of items with a result, and the counts by status."""
        total = len(self._plan.items) + sum(map(len, self._plan.alike.values())) + len(self._plan.reports)
        counts = Counter(report.status for report in self._reports)
        words = [f"{number} {status}" for status, number in counts.items()]
        words += [f"{len(self._running)} running"] if self._running else []
        words += [f"{self._left_for_next_run} left for the next run"] if self._left_for_next_run else []
        cost = sum(report.cost_usd or 0.0 for report in self._reports)
        text = f"{len(self._reports)} of {total} items: {', '.join(words) or 'none started'}. Cost so far ${cost:.4f}"
        return Progress(percent=round(100 * len(self._reports) / max(1, total), 1), text=text)

    async def abandon(self) -> None:
        """Cancel the agent runs of this triage, running or queued; the next triage settles their items."""
        if self._running:
            await self._run.agents.cancel(list(self._running))

    def _stop_early(self, position: int, reason: str) -> None:
        self._left_for_next_run = len(self._plan.items) - position
        self._notes.append(f"{self._left_for_next_run} items wait for the next run: {reason}")

    async def _release(self, cost_usd: float | None) -> None:
        await self._budget.settle(self._request.max_budget_usd, cost_usd)
        self._places.release()

    async def _claim(self, item: Item) -> ItemClaim:
        terms = ClaimTerms(self._request.max_attempts, self._request.again, self._run.lease)
        return await self._retry(
            lambda: self._run.store.handled.claim(
                self._request.name, item.key, item.fingerprint, self._run.run_id, terms
            )
        )

    async def _handle(self, item: Item, attempt: ItemAttempt, deadline: float) -> None:
        """Run an agent for the item and record the result; release its place and its budget in any case."""
        # nothing spent; None would mean that the cost is unknown, and count all that was reserved
        cost_usd: float | None = 0.0
        try:
            self._alike[item.key] = await self._claim_alike(item, attempt.run_id)
            report = await self._run_agent(item, attempt, deadline)
            if report.run_id is not None:
                cost_usd = report.cost_usd
            self._reports.append(report)
            self._reports += [await self._share(report, item, *other) for other in self._alike[item.key]]
        finally:
            await self._release(cost_usd)

    async def _claim_alike(self, item: Item, run_id: UUID | None) -> list[tuple[Item, ItemAttempt]]:
        """Claim the others of the item's group; its run decides about them too."""
        claimed = []
        for other in self._plan.alike.get(item.key, []):
            claim = await self._claim(other)
            if claim.answer == "mine" and claim.handling.run_id in (None, run_id):
                claimed.append((other, claim.handling))
            elif claim.answer == "elsewhere":
                self._claimed_elsewhere += 1
            else:
                self._handled_before += 1
        return claimed

    async def _share(self, report: ItemReport, judged: Item, item: Item, attempt: ItemAttempt) -> ItemReport:
        """Record the result of the group's run for another of its items, which costs nothing more."""
        shared = report
        if (result := self._results.get(judged.key)) is not None:
            outcome = await self._retry(lambda: load_outcome(self._run.store, report.run_id))
            shared = await self._settle(item, attempt, result, report.run_id, outcome)
        own = {"title": item.title, "key": shorten(item.key, KEY_CHARACTERS), "url": item.url, "cost_usd": 0.0}
        return shared.model_copy(update=own)

    async def _run_agent(self, item: Item, attempt: ItemAttempt, deadline: float) -> ItemReport:
        try:
            run_id = attempt.run_id or await self._start(item, attempt)
        except Exception as error:
            # no agent has seen the item: only a prompt that cannot be rendered counts as an attempt
            result = ItemResult("failed", str(error), counts=isinstance(error, PromptFailed))
            return await self._settle(item, attempt, result, None, None)
        self._running.add(run_id)
        return await self._wait(item, attempt, run_id, deadline)

    async def _start(self, item: Item, attempt: ItemAttempt) -> UUID:
        """Queue a run for the item. The claim is its key: a repeated call after a lost answer gives the same run."""
        run = self._run
        details = await read_item_details(self._request.source, item.value, run)
        item = item.with_details(details)
        request = agent_request(self._request, item, self._mark, has_sandbox=run.has_sandbox)

        if has_files(item):
            files_id = await self._retry(lambda: store_files(run.store, item.value, run.files))
            request = request.model_copy(update={"files_id": files_id})

        async def queue() -> UUID:
            run_id = await run.agents.start(request, item.title, run.run_id, attempt.claim_id)
            self._running.add(run_id)
            for claim in (attempt, *(other for _, other in self._alike.get(item.key, []))):
                await run.store.handled.begin(claim.claim_id, run_id)
            return run_id

        # a cancellation must not lose the id of a run that is being queued: the run has to be cancelled, too
        run_id = await self._retry(lambda: run_to_completion(queue()))
        self._logger.info("%s: given to %s", item.title, request.agent)
        return run_id

    async def _wait(self, item: Item, attempt: ItemAttempt, run_id: UUID, deadline: float) -> ItemReport:
        try:
            async with asyncio.timeout_at(deadline):
                flow_run = await self._watcher.of(run_id)
        except TimeoutError:
            reason = f"its agent still ran after {self._request.max_wait_seconds} s; the next run continues it"
            return describe_item(item, "at work", run_id=run_id, attempts=attempt.attempts, error=reason)
        outcome = await self._retry(lambda: load_outcome(self._run.store, run_id))
        self._running.discard(run_id)
        return await self._settle(item, attempt, item_result(flow_run, outcome), run_id, outcome)

    async def _settle(
        self, item: Item, attempt: ItemAttempt, result: ItemResult, run_id: UUID | None, outcome: Outcome | None
    ) -> ItemReport:
        self._results.setdefault(item.key, result)
        store = self._run.store.handled
        await self._retry(lambda: store.settle(attempt.claim_id, result.status, result.error, counts=result.counts))
        if run_id is not None:
            judged = run_id
            await self._retry(lambda: record_verdict(self._run.store, self._request.name, item.key, judged, outcome))
        error = result.error
        if result.status == "failed" and result.counts and attempt.attempts >= self._request.max_attempts:
            error = f"{error} (set aside: it failed {attempt.attempts} times)"
        self._logger.info("%s: %s", item.title, error or "done")
        return describe_item(
            item, result.status, run_id=run_id, attempts=attempt.attempts, outcome=outcome, error=error
        )

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        """Watch the runs and renew the claims while the items are handled."""
        tasks = [asyncio.create_task(self._watcher.watch()), asyncio.create_task(self._renew())]
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
                self._logger.warning("cannot renew the claims on the items, retrying: %s", error)
            await asyncio.sleep(self._run.lease.total_seconds() / _RENEWALS)

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat the call until it succeeds or fails for good: Prefect and the store come back."""
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
