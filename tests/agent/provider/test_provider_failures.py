"""What a provider's refusals mean for everybody."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from far_end import NOW, error

from agent.provider.failures import read_trouble


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "reset"),
    [
        (403, {}, error("permission_error", "This organization has been disabled."), "credential_refused", None),
        (529, {}, error("overloaded_error", "Overloaded"), "overloaded", None),
        (503, {"retry-after": "5"}, b"<html>upstream</html>", "overloaded", NOW + timedelta(seconds=5)),
        (429, {"retry-after": "3"}, error("rate_limit_error", "slow down"), "overloaded", NOW + timedelta(seconds=3)),
        (429, {"retry-after": "3600"}, error("rate_limit_error", "x"), "usage_limit", NOW + timedelta(hours=1)),
        (
            429,
            {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "1767243600"},
            error("rate_limit_error", "This request would exceed your account's rate limit."),
            "usage_limit",
            NOW + timedelta(hours=5),
        ),
        (
            429,
            {
                "retry-after": "20",
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:20Z",
                "anthropic-ratelimit-requests-remaining": "9",
                "anthropic-ratelimit-requests-reset": "2026-01-01T09:00:00Z",
            },
            error("rate_limit_error", "x"),
            "overloaded",
            NOW + timedelta(seconds=20),
        ),
        (
            429,
            {},
            error("rate_limit_error", "Claude AI usage limit reached|1767243600"),
            "usage_limit",
            NOW + timedelta(hours=5),
        ),
        (
            400,
            {},
            error(
                "invalid_request_error",
                "You have reached your specified API usage limits. You will regain access on 2026-02-01 at 00:00 UTC.",
            ),
            "usage_limit",
            datetime(2026, 2, 1, tzinfo=UTC),
        ),
        (400, {}, error("invalid_request_error", "Your credit balance is too low"), "usage_limit", None),
        (402, {}, error("billing_error", "x"), "usage_limit", None),
    ],
)
def test_trouble_is_told_apart(
    status: int, headers: dict[str, str], body: bytes, kind: str, reset: datetime | None
) -> None:
    trouble = read_trouble(status, httpx.Headers(headers), body, NOW)
    assert trouble is not None
    assert (trouble.kind, trouble.reset_at) == (kind, reset)
    assert trouble.message


@pytest.mark.parametrize("status", [200, 400, 404, 413])
def test_what_the_caller_did_wrong_is_no_trouble(status: int) -> None:
    assert read_trouble(status, httpx.Headers(), error("invalid_request_error", "prompt is too long"), NOW) is None
