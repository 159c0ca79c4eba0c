"""Stops taking work while the provider rejects all calls; until its reset time, else with backoff."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from agent.provider.failures import ProviderFailure

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
LONGEST_HOLD = timedelta(days=8)
"""The longest limit of a provider is weekly; a reset time past this is taken for a mistake."""

# without the provider's own words, which may name an account: /health is open
_REASONS = {
    "usage_limit": "the provider's usage limit is reached",
    "credential_refused": "the provider refuses the credential",
}
_MARGIN = timedelta(seconds=1)

_log = logging.getLogger(__name__)


class ProviderHold:
    """The hold of jobs while the provider rejects all calls; one per host, given each failure of a model call."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._until: datetime | None = None
        self._pause = FIRST_PAUSE
        self.reason = ""

    @property
    def until(self) -> datetime | None:
        """Return when jobs may start again; None if they may now."""
        return self._until if self._until is not None and self._until > self._now() else None

    def on_failure(self, failure: ProviderFailure) -> None:
        """Hold the jobs if this failure of a model call is one that lasts."""
        if not failure.is_lasting:
            return
        now = self._now()
        held = self.until is not None
        until = self._reset(failure, now) or self._guess(now, held=held)
        if held and self._until is not None and until <= self._until:
            return
        self._until = until
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
