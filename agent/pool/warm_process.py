"""A CLI process that was started ahead and waits for one run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

from agent.claude import control_messages as control
from agent.claude.launcher import Launched
from agent.claude.process import AgentProcess
from agent.claude.process_spec import ProcessSpec
from agent.claude.stream_json import parse_line
from agent.domain.checkout import Checkout
from agent.domain.request import AgentRequest
from agent.pool.demand import WarmTarget

_CLAIM_SECONDS = 5.0  # a claim takes about 0.1 s; past this a cold start is sooner
_READY_SECONDS = 30.0  # a start takes about 0.5 s, on a busy machine many times that

DirectoryIds = tuple[tuple[Path, int, int], ...]


class ClaimFailed(Exception):
    """The process cannot serve this run; the message says why, and a new process has to be started."""


class WarmProcess:
    """A process in a slot, made by the Refiller and closed by its run or the pool.

    A hot one has started in the checkout, at its very commit; a spare elsewhere, for any agent.
    """

    def __init__(
        self, launched: Launched, stack: AsyncExitStack, spec: ProcessSpec, checkout: Checkout, *, hot: bool
    ) -> None:
        self.spec = spec
        self.checkout = checkout
        self.hot = hot
        self.launched = launched
        self._stack = stack
        self._directory_ids = directory_ids(checkout)
        self._started_at = time.monotonic()
        self._day = date.today()
        self._warming = asyncio.create_task(self._warm_up())

    @property
    def target(self) -> WarmTarget:
        """The target that the process was started for."""
        return WarmTarget(spec=self.spec, hot=self.hot)

    @property
    def age_seconds(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._started_at

    @property
    def is_usable(self) -> bool:
        """True while it runs, on the directories it was started on, and on the day that it tells the model."""
        runs = self.launched.process.exit_code is None
        return runs and self._day == date.today() and self._directory_ids == directory_ids(self.checkout)

    @property
    def is_ready(self) -> bool:
        """True once it has done all that it can do before it knows its prompt."""
        return self._warming.done() and not self._warming.cancelled() and self._warming.exception() is None

    @property
    def has_failed(self) -> bool:
        """True if it did not become ready."""
        return self._warming.done() and not self.is_ready

    async def wait_ready(self) -> None:
        """Return once it is ready or has failed."""
        await asyncio.wait({self._warming})

    async def _warm_up(self) -> None:
        # for an account of its context the CLI loads all that its first call needs (2.1.330)
        await ask(self.launched.process, [control.context_usage()], _READY_SECONDS)

    async def claim(self, run_id: str, request: AgentRequest, agent: str, cwd: Path) -> None:
        """Send it all of `request` but the prompt. Raises ClaimFailed; then it is of no use to another run either."""
        self._warming.cancel()
        await asyncio.wait({self._warming})
        if not self.is_usable:
            raise ClaimFailed("it ended, or its checkout or the date changed")
        if self.launched.lease is not None:
            self.launched.lease.assign(run_id, request.max_budget_usd, request.model)
        messages = [] if self.hot else [control.claim_session(cwd), control.use_agent(agent)]
        if request.model is not None and (not self.hot or request.model != self.spec.model):
            messages.append(control.use_model(request.model))
        answers = await ask(self.launched.process, [*messages, control.initialize(request)], _CLAIM_SECONDS)
        if not control.knows_agent(answers[control.INITIALIZE], agent):
            raise ClaimFailed(f"it does not know the agent {agent}")

    async def close(self) -> None:
        """End the process and remove its files."""
        self._warming.cancel()
        await asyncio.gather(self._warming, return_exceptions=True)
        await self._stack.aclose()


async def ask(
    process: AgentProcess, messages: Sequence[control.Message], within_seconds: float
) -> dict[str, dict[str, Any]]:
    """Send control requests and return the responses by request id.

    Raises ClaimFailed if one is refused, or not all are answered within that time.
    """
    waiting = {message["request_id"] for message in messages}
    answers: dict[str, dict[str, Any]] = {}
    with _timeout_as_claim_failed():
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
def _timeout_as_claim_failed() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ClaimFailed("it does not answer") from None


def directory_ids(checkout: Checkout) -> DirectoryIds:
    """Return device and inode of the directories that a sandbox mounts: one that was made anew is another."""
    found = []
    for path in (checkout.path, *checkout.read_paths):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((path, status.st_dev, status.st_ino))
    return tuple(found)
