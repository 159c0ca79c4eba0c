"""The provider refuses everybody: the queue is held until the reset it names, else for growing pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.provider.failures import Kind, ProviderFailure
from deployments.holds.provider_hold import FIRST_PAUSE, LONGEST_PAUSE, ProviderHold

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Clock:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


def trouble(kind: Kind, reset_at: datetime | None = None) -> ProviderFailure:
    return ProviderFailure(kind=kind, status=429, message="account 123 is\nout of it", reset_at=reset_at)


def test_a_usage_limit_holds_until_its_reset() -> None:
    clock = Clock()
    hold = ProviderHold(clock)
    hold.on_failure(trouble("usage_limit", NOON + timedelta(seconds=60)))
    assert hold.until is not None
    assert NOON + timedelta(seconds=60) <= hold.until <= NOON + timedelta(seconds=62)
    assert hold.reason == "the provider's usage limit is reached"
    clock.time = NOON + timedelta(seconds=62)
    assert hold.until is None


def test_without_a_reset_each_pause_is_longer_than_the_last() -> None:
    clock = Clock()
    hold = ProviderHold(clock)
    pauses = []
    for _ in range(8):
        hold.on_failure(trouble("credential_refused"))
        assert hold.until is not None
        pauses.append(hold.until - clock.time)
        clock.time = hold.until
    assert pauses[:3] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]
    assert pauses[-1] == LONGEST_PAUSE
    clock.time += LONGEST_PAUSE
    hold.on_failure(trouble("credential_refused"))
    assert hold.until == clock.time + FIRST_PAUSE


def test_what_runs_at_the_same_time_counts_as_one() -> None:
    hold = ProviderHold(Clock())
    for _ in range(5):
        hold.on_failure(trouble("credential_refused"))
    assert hold.until == NOON + FIRST_PAUSE


@pytest.mark.parametrize("kind", ["overloaded", "unreachable"])
def test_what_passes_by_itself_holds_nothing(kind: Kind) -> None:
    hold = ProviderHold(Clock())
    hold.on_failure(trouble(kind))
    assert hold.until is None


@pytest.mark.parametrize("reset_at", [NOON - timedelta(hours=1), NOON + timedelta(days=400)])
def test_a_reset_that_cannot_be_is_not_believed(reset_at: datetime) -> None:
    hold = ProviderHold(Clock())
    hold.on_failure(trouble("usage_limit", reset_at))
    assert hold.until == NOON + FIRST_PAUSE
