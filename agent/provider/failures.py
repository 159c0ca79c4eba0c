"""Classifies provider errors: rejected, out of quota, overloaded, unreachable; and whom each of them is for.

Status and error type decide, headers come next, words last and only where no request can put them: an agent chooses
the model's name and the prompt, and an error may repeat both.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from agent.domain.result import Refusal
from agent.domain.values import Frozen
from agent.system.http import retry_after_seconds

Kind = Literal["credential_refused", "usage_limit", "overloaded", "unreachable"]
Scope = Literal["request", "model", "credential", "everybody"]

LONG_WAIT_SECONDS = 60.0
"""A rate limit passes within a minute; whoever is told to wait longer has used something up."""

LONGEST_RESET = timedelta(days=40)
"""The longest limit of a provider is monthly; a date in words that is past this is no reset."""

# From the beginning of a message, as the provider words it: what a request has chosen comes later, or after "model: ".
_USED_UP = re.compile(
    r"(claude ai |claude )?(usage limit reached|.{0,20}you('ve| have) (reached|hit|exceeded) your )|"
    r"your (credit balance|organization'?s? .{0,40}(usage|spend))",
    re.IGNORECASE,
)
_DISABLED = re.compile(r"this (organization|account|workspace|api key) (has been|is) disabled", re.IGNORECASE)
_RESET_EPOCH = re.compile(r"[^|]{0,100}\|(\d{10})\b")
_RESET_DATE = re.compile(r"\b(\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?")
_FAMILY = re.compile(r"_(opus|sonnet|haiku|fable|mythos)$")
UNIFIED = "anthropic-ratelimit-unified-"
BUCKETS = ("requests", "tokens", "input-tokens", "output-tokens")


class ProviderFailure(Frozen):
    """One thing the provider refused, when it may be worth asking again, and who need not ask meanwhile."""

    kind: Kind
    status: int | None
    message: str
    retry_after_seconds: float | None = None
    reset_at: datetime | None = None
    scope: Scope = "everybody"
    model: str | None = None
    """The model, or the family of models, that a failure of scope `model` is for."""

    def as_refusal(self) -> Refusal:
        """Return what a run's outcome keeps of it."""
        return Refusal(kind=self.kind, scope=self.scope, message=self.message, until=self.reset_at)

    @property
    def is_lasting(self) -> bool:
        """To ask again in a moment is of no use."""
        return self.kind in ("credential_refused", "usage_limit")


def read_trouble(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime | None = None, model: str | None = None
) -> ProviderFailure | None:
    """Return the failure in an answer of the provider; None for a good one and for what is the caller's own fault.

    `model` is the one that was asked for.
    """
    if status < 400:
        return None
    now = now or datetime.now(UTC)
    name, message = _error(body)
    wait = retry_after_seconds(headers.get("retry-after"), now)
    kind = _kind(status, headers, name, message, wait)
    if kind is None:
        return None
    reset = _reset(headers, message if kind == "usage_limit" else "", now)
    scope, whose = _scope(kind, status, headers, message, model)
    return ProviderFailure(
        kind=kind,
        status=status,
        message=message or f"the provider answered {status}",
        retry_after_seconds=wait,
        reset_at=reset or (now + timedelta(seconds=wait) if wait is not None else None),
        scope=scope,
        model=whose,
    )


def read_event(error: Mapping[str, Any]) -> ProviderFailure | None:
    """Return the failure in an `error` event, which comes in the midst of an answer that began well."""
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
    if status == 402 or (name == "billing_error" and status in (400, 403)):
        return "usage_limit"
    if status == 429:
        rejected = headers.get(f"{UNIFIED}status") == "rejected"
        lasts = rejected or (wait or 0) > LONG_WAIT_SECONDS or _USED_UP.match(message)
        return "usage_limit" if lasts else "overloaded"
    if status in (401, 403):
        return "credential_refused"
    if status == 400 and name == "invalid_request_error":
        if _DISABLED.match(message):
            return "credential_refused"
        return "usage_limit" if _USED_UP.match(message) else None
    return None


def _scope(
    kind: Kind, status: int, headers: Mapping[str, str], message: str, model: str | None
) -> tuple[Scope, str | None]:
    """Return whom the failure is for. One of the credential is only known to be everybody's once others meet it."""
    if kind == "usage_limit" and status == 429:
        claim = headers.get(f"{UNIFIED}representative-claim", "")
        if family := _FAMILY.search(claim):
            return "model", family[1]
        is_of_account = claim or f"{UNIFIED}status" in headers or _USED_UP.match(message)
        # the limits of requests and tokens are counted for each model
        return ("everybody", None) if is_of_account or model is None else ("model", model)
    if kind == "credential_refused" and not _DISABLED.match(message):
        return "credential", None
    return "everybody", None


def _error(body: bytes) -> tuple[str, str]:
    """Return the error's type and its message in one line; what is no JSON is its own message."""
    try:
        error = json.loads(body)["error"]
        return str(error.get("type", "")), " ".join(str(error.get("message", "")).split())[:500]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", " ".join(body.decode(errors="replace").split())[:200]


def _reset(headers: Mapping[str, str], message: str, now: datetime) -> datetime | None:
    """Return when the limit is lifted: as the headers say, or else the message."""
    with contextlib.suppress(KeyError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(float(headers[f"{UNIFIED}reset"]), UTC)
    used_up = [bucket for bucket in BUCKETS if headers.get(f"anthropic-ratelimit-{bucket}-remaining") == "0"]
    resets = [headers.get(f"anthropic-ratelimit-{bucket}-reset", "") for bucket in used_up]
    with contextlib.suppress(ValueError):
        moments = [datetime.fromisoformat(reset) for reset in resets]
        if moments:
            return max(moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments)
    said = _said(message)
    return said if said is not None and said <= now + LONGEST_RESET else None


def _said(message: str) -> datetime | None:
    """`usage limit reached|1767225600`, or `you will regain access on 2026-01-01 at 00:00 UTC`."""
    if epoch := _RESET_EPOCH.match(message):
        return datetime.fromtimestamp(int(epoch[1]), UTC)
    if date := _RESET_DATE.search(message):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(f"{date[1]}T{date[2] or '00:00'}+00:00")
    return None
