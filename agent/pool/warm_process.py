"""A process of the CLI that has started and waits for its run: one, and then never another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

from agent.claude import control_messages as command
from agent.claude.launcher import Launched
from agent.claude.process import AgentProcess
from agent.claude.process_spec import ProcessSpec
from agent.claude.stream_json import parse_line
from agent.domain.checkout import Checkout
from agent.domain.request import AgentRequest

CLAIM_SECONDS = 5.0
"""Longer than any claim has taken; past it, a cold start is sooner."""

ROUSE_SECONDS = 30.0

Footing = tuple[tuple[Path, int, int], ...]


class ClaimFailed(Exception):
    """The process is of no use for this run; a new one has to be started."""


class WarmProcess:
    """A process in a slot, made for a mold; `hot` ones have begun in the checkout, at its very commit."""

    def __init__(
        self, launched: Launched, stack: AsyncExitStack, mold: ProcessSpec, checkout: Checkout, *, hot: bool
    ) -> None:
        self.mold = mold
        self.checkout = checkout
        self.hot = hot
        self.launched = launched
        self._stack = stack
        self._footing = footing(checkout)
        self._parked_at = time.monotonic()
        self._day = date.today()
        self._rousing = asyncio.create_task(self._rouse())

    @property
    def age_seconds(self) -> float:
        """How long it has been waiting."""
        return time.monotonic() - self._parked_at

    @property
    def is_sound(self) -> bool:
        """Whether it lives, and what it stands on is still there; past midnight it would tell a wrong date."""
        alive = self.launched.process.exit_code is None
        return alive and self._day == date.today() and self._footing == footing(self.checkout)

    @property
    def is_roused(self) -> bool:
        """Whether it has done all that it can do before it knows its prompt."""
        return self._rousing.done() and not self._rousing.cancelled() and self._rousing.exception() is None

    @property
    def broke(self) -> bool:
        """Whether it has failed before anybody wanted it."""
        return self._rousing.done() and not self.is_roused

    async def roused(self) -> None:
        """Return once it is as warm as it gets, or has failed."""
        await asyncio.wait({self._rousing})

    async def _rouse(self) -> None:
        """Have it start up whole: its account of the context needs all that the first call needs (2.1.330)."""
        await ask(self.launched.process, [command.context_usage()], ROUSE_SECONDS)

    async def claim(self, run_id: str, request: AgentRequest, agent: str, cwd: Path) -> None:
        """Give it to the run of `request`: all but the prompt is said; raises NotClaimed, and then it is spent."""
        self._rousing.cancel()
        await asyncio.wait({self._rousing})
        if not self.is_sound:
            raise ClaimFailed("it has ended, or what it stands on has changed")
        if self.launched.lease is not None:
            self.launched.lease.assign(run_id, request.max_budget_usd)
        told = [] if self.hot else [command.claim_session(cwd), command.use_agent(agent)]
        if request.model is not None and (not self.hot or request.model != self.mold.model):
            told.append(command.use_model(request.model))
        answers = await ask(self.launched.process, [*told, command.initialize(request)], CLAIM_SECONDS)
        if not command.knows_agent(answers[command.INITIALIZE], agent):
            raise ClaimFailed(f"it does not know the agent {agent}")

    async def close(self) -> None:
        """End it, and take away what it had."""
        self._rousing.cancel()
        await asyncio.gather(self._rousing, return_exceptions=True)
        await self._stack.aclose()


async def ask(
    process: AgentProcess, messages: Sequence[command.Message], within_seconds: float
) -> dict[str, dict[str, Any]]:
    """Say all of it, and give what is answered to each by its id; raises NotClaimed unless all is well in time."""
    waiting = {message["request_id"] for message in messages}
    answers: dict[str, dict[str, Any]] = {}
    with _as_not_claimed():
        async with asyncio.timeout(within_seconds):
            for message in messages:
                await process.send(message)
            async for line in process.lines():
                response = (parse_line(line) or {}).get("response")
                if isinstance(response, dict) and response.get("request_id") in waiting:
                    if response.get("subtype") != "success":
                        raise ClaimFailed(f"it refused: {response.get('error')}")
                    answers[response["request_id"]] = response
                if len(answers) == len(waiting):
                    return answers
    raise ClaimFailed(f"it has ended: {process.stderr[-200:]}")


@contextlib.contextmanager
def _as_not_claimed() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ClaimFailed("it does not answer") from None


def footing(checkout: Checkout) -> Footing:
    """The directories that a cell was built on: one that was made anew would not be the one in there."""
    found = []
    for path in (checkout.path, *checkout.read_paths):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((path, status.st_dev, status.st_ino))
    return tuple(found)
