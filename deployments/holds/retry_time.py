"""Decides when a job that the provider refused is tried again: a bounded number of times."""

from __future__ import annotations

from datetime import datetime, timedelta

from agent.domain.result import Refusal
from deployments.holds.provider_hold import LONGEST_HOLD

OWN_PAUSES = (timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=30))
"""For a refusal that is the run's own, e.g. of its key for its model: it fails within about a minute."""

MOST_ATTEMPTS = 10
"""For a refusal that is everybody's: the hold and its probes space them, over more than an hour."""


def retry_time(refusal: Refusal | None, held_until: datetime | None, attempts: int, now: datetime) -> datetime | None:
    """Return when to try again a job that was refused; None to fail it with the provider's words.

    `attempts` is how often it was tried before this time; `held_until` is the end of a hold of all jobs.
    """
    if attempts + 1 >= MOST_ATTEMPTS:
        return None
    if held_until is not None:
        return held_until
    if refusal is None or refusal.kind == "overloaded":
        return None
    if refusal.until is not None and now < refusal.until <= now + LONGEST_HOLD:
        return refusal.until + timedelta(seconds=1)
    return now + OWN_PAUSES[attempts] if attempts < len(OWN_PAUSES) else None
