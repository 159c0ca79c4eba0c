"""Holds the queue while the provider refuses everybody: until the reset that it names, else for growing pauses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from agent.provider.failures import ProviderFailure

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
LONGEST_HOLD = timedelta(days=8)
"""A weekly limit is the longest that a provider has; a reset past it is a mistake."""

# Without the provider's own words, which may name an account: /health is open.
_REASONS = {
    "usage_limit": "the provider's usage limit is reached",
    "credential_refused": "the provider refuses the credential",
}
_MARGIN = timedelta(seconds=1)

_log = logging.getLogger(__name__)


class ProviderHold:
    """Whether jobs are to wait for the provider; it is told of each trouble, and forgets one that has passed."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._until: datetime | None = None
        self._pause = FIRST_PAUSE
        self.reason = ""

    @property
    def until(self) -> datetime | None:
        """When jobs may start again; None if they may now."""
        return self._until if self._until is not None and self._until > self._now() else None

    def hear(self, trouble: ProviderFailure) -> None:
        """A sink for the provider's troubles; only one that lasts holds the queue."""
        if not trouble.is_lasting:
            return
        now = self._now()
        held = self.until is not None
        until = self._reset(trouble, now) or self._guess(now, held=held)
        if held and self._until is not None and until <= self._until:
            return
        self._until = until
        self.reason = _REASONS.get(trouble.kind, trouble.kind)
        told = " ".join(trouble.message.split())[:300]
        when = until.isoformat(timespec="seconds")
        _log.warning("jobs are held until %s: %s; it says: %s", when, self.reason, told)

    def _reset(self, trouble: ProviderFailure, now: datetime) -> datetime | None:
        reset = trouble.reset_at
        return reset + _MARGIN if reset is not None and now < reset <= now + LONGEST_HOLD else None

    def _guess(self, now: datetime, *, held: bool) -> datetime:
        """Twice as long as the last time, if that was not long ago; what runs at the same time counts as one."""
        if held and self._until is not None:
            return self._until
        recent = self._until is not None and now - self._until < LONGEST_PAUSE
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if recent else FIRST_PAUSE
        return now + self._pause
