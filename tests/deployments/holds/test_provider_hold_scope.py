"""Holds of all jobs, of one model's, and how they end: by an answer, by a probe, by an operator."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.domain.result import Refusal
from agent.provider.failures import ProviderFailure, Scope
from deployments.holds.provider_hold import FIRST_PAUSE, ProviderHold
from deployments.holds.retry_time import MOST_ATTEMPTS, retry_time

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class SetClock:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def hold(clock: SetClock) -> ProviderHold:
    return ProviderHold(clock)


REFUSED = ProviderFailure(kind="credential_refused", status=401, message="invalid x-api-key")
AWAY = ProviderFailure(kind="unreachable", status=None, message="out of reach")


def limit(scope: Scope, model: str | None = None) -> ProviderFailure:
    reset = NOON + timedelta(days=3)
    return ProviderFailure(kind="usage_limit", status=429, message="x", scope=scope, model=model, reset_at=reset)


@pytest.mark.parametrize("scope", ["request", "credential"])
def test_what_is_one_runs_own_holds_nobody(hold: ProviderHold, scope: Scope) -> None:
    hold.on_failure(REFUSED.model_copy(update={"scope": scope}))
    assert (hold.until, hold.active) == (None, None)


def test_a_limit_of_one_model_is_told_and_holds_no_other(hold: ProviderHold) -> None:
    hold.on_failure(limit("model", "opus"))
    assert hold.until is None
    assert hold.active is not None
    assert (hold.active.scope, hold.active.until) == ("model opus", NOON + timedelta(days=3) + SECOND)
    hold.lift()
    assert hold.active is None


def test_an_answer_to_a_later_call_ends_the_hold(hold: ProviderHold, clock: SetClock) -> None:
    hold.on_failure(limit("everybody"))
    assert hold.active is not None
    assert hold.active.scope == "everybody"
    hold.on_answer(NOON - SECOND)
    assert hold.until is not None
    hold.on_answer(NOON + SECOND)
    assert hold.until is None


def test_a_probe_that_told_of_the_trouble_tells_of_its_end(hold: ProviderHold, clock: SetClock) -> None:
    hold.on_failure(REFUSED)
    hold.judge_probe("refused")
    clock.time = NOON + FIRST_PAUSE - SECOND
    hold.judge_probe("refused")
    assert hold.until is not None
    assert hold.until > NOON + FIRST_PAUSE
    hold.judge_probe("accepted")
    assert hold.until is None


def test_a_probe_that_never_saw_the_trouble_ends_nothing(hold: ProviderHold) -> None:
    hold.on_failure(REFUSED)
    hold.judge_probe("accepted")
    assert hold.until == NOON + FIRST_PAUSE


def test_a_provider_that_is_away_for_some_seconds_holds_jobs_until_it_is_back(
    hold: ProviderHold, clock: SetClock
) -> None:
    hold.on_failure(AWAY)
    assert hold.until is None
    clock.time += 6 * SECOND
    hold.on_failure(AWAY)
    assert (hold.until, hold.reason) == (clock.time + FIRST_PAUSE, "the provider is out of reach")
    clock.time += 25 * SECOND
    hold.judge_probe("unreachable")
    assert hold.until == clock.time + 20 * SECOND
    hold.judge_probe("unknown")
    assert hold.until is None


def test_single_connections_that_fail_hold_nothing(hold: ProviderHold, clock: SetClock) -> None:
    for _ in range(5):
        hold.on_failure(AWAY)
        clock.time += 10 * SECOND
        hold.on_answer(clock.time)
    assert hold.until is None


def test_a_refused_job_is_tried_again_a_bounded_number_of_times() -> None:
    own = Refusal(kind="credential_refused", scope="request", message="no")
    times = [retry_time(own, None, attempts, NOON) for attempts in range(4)]
    assert [time - NOON if time else None for time in times] == [5 * SECOND, 15 * SECOND, 30 * SECOND, None]
    until = NOON + timedelta(hours=1)
    assert retry_time(own, until, 4, NOON) == until
    assert retry_time(own, until, MOST_ATTEMPTS - 1, NOON) is None
    waits = Refusal(kind="usage_limit", scope="model", message="no", until=until)
    assert retry_time(waits, None, 0, NOON) == until + SECOND
    assert retry_time(Refusal(kind="overloaded", scope="everybody", message="no"), None, 0, NOON) is None
    assert retry_time(None, None, 0, NOON) is None
