"""Classifies provider errors: rejected, out of quota, overloaded, unreachable."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from agent.domain.values import Frozen
from agent.system.http import retry_after_seconds

Kind = Literal["credential_refused", "usage_limit", "overloaded", "unreachable"]

LONG_WAIT_SECONDS = 60.0
"""A rate limit passes within a minute; whoever is told to wait longer has used something up."""

USED_UP = re.compile(r"usage limit|credit balance|spend(ing)? limit|quota|out of credits", re.IGNORECASE)
RESET_EPOCH = re.compile(r"\|(\d{10})\b")
RESET_DATE = re.compile(r"\b(\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?")
UNIFIED = "anthropic-ratelimit-unified-"
BUCKETS = ("requests", "tokens", "input-tokens", "output-tokens")


class ProviderFailure(Frozen):
    """One thing the provider refused, and when it may be worth asking again."""

    kind: Kind
    status: int | None
    message: str
    retry_after_seconds: float | None = None
    reset_at: datetime | None = None

    @property
    def is_lasting(self) -> bool:
        """To ask again in a moment is of no use."""
        return self.kind in ("credential_refused", "usage_limit")


def read_trouble(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime | None = None
) -> ProviderFailure | None:
    """The trouble in an answer of the provider; None for a good one and for what is the caller's own fault."""
    if status < 400:
        return None
    now = now or datetime.now(UTC)
    name, message = _error(body)
    wait = retry_after_seconds(headers.get("retry-after"), now)
    kind = _kind(status, headers, name, message, wait)
    if kind is None:
        return None
    reset = _reset(headers, message) or (now + timedelta(seconds=wait) if wait is not None else None)
    text = message or f"the provider answered {status}"
    return ProviderFailure(kind=kind, status=status, message=text, retry_after_seconds=wait, reset_at=reset)


def read_event(error: Mapping[str, Any]) -> ProviderFailure | None:
    """The trouble in an `error` event, which comes in the midst of an answer that began well."""
    body = json.dumps({"error": error}).encode()
    return read_trouble(STATUS_OF.get(str(error.get("type")), 400), {}, body)


STATUS_OF = {
    "authentication_error": 401,
    "permission_error": 403,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def _kind(status: int, headers: Mapping[str, str], name: str, message: str, wait: float | None) -> Kind | None:
    if status >= 500:
        return "overloaded"
    if status == 402 or name == "billing_error" or USED_UP.search(message):
        return "usage_limit"
    if status == 429:
        rejected = headers.get(f"{UNIFIED}status") == "rejected"
        return "usage_limit" if rejected or (wait or 0) > LONG_WAIT_SECONDS else "overloaded"
    return "credential_refused" if status in (401, 403) else None


def _error(body: bytes) -> tuple[str, str]:
    """The error's name and its message in one line; what is no JSON is its own message."""
    try:
        error = json.loads(body)["error"]
        return str(error.get("type", "")), " ".join(str(error.get("message", "")).split())[:500]
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", " ".join(body.decode(errors="replace").split())[:200]


def _reset(headers: Mapping[str, str], message: str) -> datetime | None:
    """When the limit is lifted: as the headers say, or the message."""
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        return datetime.fromtimestamp(float(headers[f"{UNIFIED}reset"]), UTC)
    used_up = [bucket for bucket in BUCKETS if headers.get(f"anthropic-ratelimit-{bucket}-remaining") == "0"]
    resets = [headers.get(f"anthropic-ratelimit-{bucket}-reset", "") for bucket in used_up]
    with contextlib.suppress(ValueError):
        return max((datetime.fromisoformat(reset) for reset in resets), default=None) or _said(message)
    return _said(message)


def _said(message: str) -> datetime | None:
    """`usage limit reached|1767225600`, or `you will regain access on 2026-01-01 at 00:00 UTC`."""
    if epoch := RESET_EPOCH.search(message):
        return datetime.fromtimestamp(int(epoch[1]), UTC)
    if date := RESET_DATE.search(message):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(f"{date[1]}T{date[2] or '00:00'}+00:00")
    return None
