"""Finds out if a refusal of the credential is one run's own or everybody's, by a call that costs nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from agent.provider.failures import ProviderFailure, Scope

Verdict = Literal["accepted", "refused", "unreachable", "unknown"]
"""What the provider says of the credential, when it is asked for a list of models."""

FRESH_SECONDS = 10.0
RUNS_IF_ACCEPTED = 3
RUNS_IF_UNKNOWN = 2
"""So many runs, refused with no answer to any run between, make it everybody's."""


class RefusalScope:
    """The refusals of one host's credential; one per proxy. `probe` asks the provider what it thinks of it."""

    def __init__(self, probe: Callable[[], Awaitable[Verdict]]) -> None:
        self._probe = probe
        self._refused_runs: set[str] = set()
        self._was_ever_good = False
        self._lock = asyncio.Lock()
        self._verdict: Verdict = "unknown"
        self._probed_at = float("-inf")

    def on_answer(self) -> None:
        """Note that the provider has answered a run: the credential is good."""
        self._refused_runs.clear()
        self._was_ever_good = True

    async def confirm(self, run_id: str, failure: ProviderFailure) -> ProviderFailure:
        """Return the failure with its true scope."""
        if failure.scope != "credential":
            return failure
        self._refused_runs.add(run_id)
        scope: Scope = "everybody" if await self._is_everybodys() else "request"
        return failure.model_copy(update={"scope": scope})

    async def _is_everybodys(self) -> bool:
        match await self._verdict_now():
            case "refused":
                return True
            case "accepted":
                return len(self._refused_runs) >= RUNS_IF_ACCEPTED
            case _ if not self._was_ever_good:
                return True  # a credential that has never worked is more likely wrong than one run special
            case _:
                return len(self._refused_runs) >= RUNS_IF_UNKNOWN

    async def _verdict_now(self) -> Verdict:
        async with self._lock:  # runs that are refused together ask once
            if time.monotonic() - self._probed_at > FRESH_SECONDS:
                self._verdict = await self._probe()
                self._probed_at = time.monotonic()
            return self._verdict
