"""Limits of one chat completion: as configured, or lower if the request asks for less (headers, metadata)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from agent.domain.values import Frozen
from api.http.errors import ApiError
from api.settings import ApiSettings

MEMBERS = ("max_budget_usd", "timeout_seconds")
HEADERS = ("x-max-budget-usd", "x-timeout-seconds")


class RunLimits(Frozen):
    """The limits of one run; `requested` is true if the request set one."""

    max_budget_usd: float
    timeout_seconds: int
    requested: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The limits that are in effect, for a request that set one: it may have asked for more than is configured."""
        if not self.requested:
            return {}
        return dict(zip(HEADERS, (f"{self.max_budget_usd:g}", str(self.timeout_seconds)), strict=True))


def read_limits(headers: Mapping[str, str], metadata: Mapping[str, Any] | None, settings: ApiSettings) -> RunLimits:
    """Return the lowest of the configured and the requested limits. Raises ApiError for a value that is no number."""
    names = zip(HEADERS, MEMBERS, strict=True)
    budgets, timeouts = (list(_requested(header, member, headers, metadata or {})) for header, member in names)
    return RunLimits(
        max_budget_usd=min([settings.openai_compat_budget_usd, *(value for _, value in budgets)]),
        timeout_seconds=min([settings.openai_compat_timeout_seconds, *(_whole(*one) for one in timeouts)]),
        requested=bool(budgets or timeouts),
    )


def _requested(
    header: str, member: str, headers: Mapping[str, str], metadata: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    for name, value in ((header, headers.get(header)), (f"metadata.{member}", metadata.get(member))):
        if value is not None:
            yield name, _number(name, value)


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ApiError(400, f"{name} must be a number greater than 0", param=name, code="invalid_value")
    return number


def _whole(name: str, value: float) -> int:
    if value != int(value):
        raise ApiError(400, f"{name} must be a whole number of seconds", param=name, code="invalid_value")
    return int(value)
