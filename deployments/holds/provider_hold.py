"""Stops taking work while the provider rejects all calls; until its reset time, else with backoff."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.provider.failures import Kind, ProviderFailure
from agent.provider.refusal_scope import Verdict
from agent.system.concurrency import background_task

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
LONGEST_HOLD = timedelta(days=8)
"""The longest limit of a provider is weekly; a reset time past this is taken for a mistake."""

UNREACHABLE_FOR = timedelta(seconds=5)
"""A provider that has not been reached for so long is away; a single connection fails now and then."""

PROBE_SECONDS = 5.0
_PROBED_AHEAD = timedelta(seconds=20)  # a hold that ends sooner is prolonged where the probe says that nothing changed

# without the provider's own words, which may name an account: /health is open
_REASONS: dict[Kind, str] = {
    "usage_limit": "the provider's usage limit is reached",
    "credential_refused": "the provider refuses the credential",
    "unreachable": "the provider is out of reach",
}
_MARGIN = timedelta(seconds=1)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActiveHold:
    """A hold that is in force. `scope` is `everybody`, or `model NAME` for the jobs of that model alone."""

    until: datetime
    reason: str
    scope: str


class ProviderHold:
    """The hold of jobs while the provider rejects calls; one per host, given each failure of a model call.

    It ends at the reset time, when a call is answered that began later, when a probe says that the cause is gone, or
    when an operator lifts it.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._until: datetime | None = None
        self._since: datetime | None = None
        self._kind: Kind | None = None
        self._pause = FIRST_PAUSE
        self._unreachable_since: datetime | None = None
        self._models: dict[str, datetime] = {}
        self._is_probeable = False
        self.reason = ""

    @property
    def until(self) -> datetime | None:
        """Return when jobs may start again; None if they may now."""
        return self._until if self._until is not None and self._until > self._now() else None

    @property
    def active(self) -> ActiveHold | None:
        """Return the hold of all jobs, else the one of a model that lasts longest; None if there is none."""
        if (until := self.until) is not None:
            return ActiveHold(until, self.reason, "everybody")
        self._models = {model: end for model, end in self._models.items() if end > self._now()}
        if not self._models:
            return None
        model, end = max(self._models.items(), key=lambda entry: entry[1])
        return ActiveHold(end, _REASONS["usage_limit"], f"model {model}")

    def on_failure(self, failure: ProviderFailure) -> None:
        """Hold the jobs if this failure of a model call is one that lasts, and is not one run's own."""
        now = self._now()
        if failure.kind == "unreachable":
            self._unreachable_since = self._unreachable_since or now
            if now - self._unreachable_since >= UNREACHABLE_FOR:
                self._hold(failure, now)
        elif failure.is_lasting and failure.scope == "model" and failure.model is not None:
            until = self._reset(failure, now) or now + FIRST_PAUSE
            if failure.model not in self._models:
                _log.warning("jobs of the model %s wait until %s", failure.model, until.isoformat(timespec="seconds"))
            self._models[failure.model] = until
        elif failure.is_lasting and failure.scope == "everybody":
            self._hold(failure, now)

    def on_answer(self, began_at: datetime) -> None:
        """End the hold if the provider answers a call that began after it did."""
        self._unreachable_since = None
        if self.until is not None and self._since is not None and began_at > self._since:
            self.lift("the provider answers again")

    def lift(self, why: str = "an operator lifted the hold") -> None:
        """End the hold at once, of all jobs and of single models."""
        if self.active is not None:
            _log.warning("jobs start again: %s", why)
        self._until = self._since = self._kind = self._unreachable_since = None
        self._models.clear()

    @asynccontextmanager
    async def probing(self, probe: Callable[[], Awaitable[Verdict]]) -> AsyncIterator[None]:
        """While this is open, ask during a hold if its cause is gone, by a call that costs nothing."""
        async with background_task(self._probe_on(probe), name="provider-probe"):
            yield

    async def _probe_on(self, probe: Callable[[], Awaitable[Verdict]]) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            if self.until is not None and self._kind in ("credential_refused", "unreachable"):
                self.judge_probe(await probe())

    def judge_probe(self, verdict: Verdict) -> None:
        """Take what the provider said to a probe during a hold: lift the hold, prolong it, or leave it."""
        is_over = verdict == "accepted" or (self._kind == "unreachable" and verdict not in ("unreachable",))
        if not is_over:
            # a probe that has told of the trouble once can also tell that it is over
            self._is_probeable = self._is_probeable or verdict in ("refused", "unreachable")
            if verdict in ("refused", "unreachable") and (until := self.until) is not None:
                self._until = max(until, self._now() + _PROBED_AHEAD)
        elif self._is_probeable or self._kind == "unreachable":
            self.lift("a probe of the provider succeeded")

    def _hold(self, failure: ProviderFailure, now: datetime) -> None:
        held = self.until is not None
        until = self._reset(failure, now) or self._guess(now, held=held)
        if held and self._until is not None and until <= self._until:
            return
        if not held:
            self._since, self._is_probeable = now, False
        self._until, self._kind = until, failure.kind
        self.reason = _REASONS.get(failure.kind, failure.kind)
        message = " ".join(failure.message.split())[:300]
        when = until.isoformat(timespec="seconds")
        _log.warning("jobs are held until %s: %s; the provider says: %s", when, self.reason, message)

    def _reset(self, failure: ProviderFailure, now: datetime) -> datetime | None:
        reset = failure.reset_at
        return reset + _MARGIN if reset is not None and now < reset <= now + LONGEST_HOLD else None

    def _guess(self, now: datetime, *, held: bool) -> datetime:
        """Return an end twice as far away as the last one, if that was recent. Failures during a hold count as one."""
        if held and self._until is not None:
            return self._until
        recent = self._until is not None and now - self._until < LONGEST_PAUSE
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if recent else FIRST_PAUSE
        return now + self._pause
