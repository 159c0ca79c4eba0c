"""One logical request and its one run, for everybody who asks for it: a caller, and the same caller again."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Annotated, Protocol

from fastapi import Depends, Request

from agent.domain.errors import AgentError
from agent.domain.result import Outcome
from api.http.errors import RETRY_SOON, ApiError, unavailable
from api.runs.request_identity import RequestIdentity
from api.runs.transcript import RunTranscript

AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)


class RunSource(Protocol):
    """Where the run comes from."""

    async def run(self, transcript: RunTranscript) -> Outcome:
        """Have it run, and tell of it; cancelled, it ends the run."""
        ...

    async def is_awaited(self) -> bool:
        """Whether somebody waits for it at another host."""
        ...


class Subscriber:
    """One HTTP request that waits for a call; it leaves once."""

    def __init__(self, call: SharedRun, *, may_return: bool, only_before_answer: bool) -> None:
        self.transcript = call.transcript
        self._call: SharedRun | None = call
        self._may_return = may_return
        self._only_before_answer = only_before_answer
        call.enter()

    def begins_to_hear(self) -> None:
        """The answer's first byte is on its way: some clients do not try again after that."""
        self._may_return = self._may_return and not self._only_before_answer

    def leave(self, *, answered: bool) -> None:
        """It has its answer, or it has gone without."""
        if self._call is not None:
            self._call.leave(answered=answered, may_return=self._may_return)
            self._call = None


class SharedRun:
    """Runs while somebody waits for it, and for `grace_seconds` more where the caller may come back."""

    def __init__(self, source: RunSource, grace_seconds: float, forget: Callable[[SharedRun], None]) -> None:
        self.transcript = RunTranscript()
        self._source = source
        self._grace_seconds = grace_seconds
        self._forget = forget
        self._callers = 0
        self._lingering: asyncio.Task[None] | None = None
        self._running = asyncio.create_task(self._run(), name="chat call")

    @property
    def is_deserted(self) -> bool:
        """Nobody waits for it just now."""
        return self._callers == 0

    def enter(self) -> None:
        """Somebody waits for it from now on."""
        self._callers += 1
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def leave(self, *, answered: bool, may_return: bool) -> None:
        """One who waited is gone, with the answer or without; the last one's leaving ends it, sooner or later."""
        self._callers -= 1
        if self._callers:
            return
        if answered or not may_return:
            self._give_up()
        else:
            self._lingering = asyncio.create_task(self._linger())

    async def _linger(self) -> None:
        """Let the caller come back, here or at another host."""
        await asyncio.sleep(self._grace_seconds)
        while True:
            if not await self._source.is_awaited():
                break
            await asyncio.sleep(AGAIN_SECONDS)
        self._lingering = None
        self._give_up()

    def _give_up(self) -> None:
        self._forget(self)
        self._running.cancel()

    async def _run(self) -> None:
        try:
            self.transcript.end(await self._source.run(self.transcript))
        except asyncio.CancelledError:
            self.transcript.fail(unavailable("the run was ended", headers=RETRY_SOON))
            raise
        except Exception as failure:
            if self.is_deserted and not isinstance(failure, AgentError):
                _log.warning("a run that nobody waits for any more: %s: %s", type(failure).__name__, failure)
            self._forget(self)
            self.transcript.fail(failure)


class SharedRuns:
    """Finds the call that a request belongs to, or begins one."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._keyed: dict[tuple[str, str], tuple[str, SharedRun]] = {}
        self._counted: defaultdict[tuple[str, str], list[SharedRun]] = defaultdict(list)

    def join(self, identity: RequestIdentity, source: RunSource) -> Subscriber:
        """Wait for the call of this request; a new one runs `source`. Raises ApiError for a key of another request."""
        call = self._find(identity) or self._begin(identity, source)
        keyed = identity.key is not None
        may_return = keyed or identity.retry_count is not None
        return Subscriber(call, may_return=may_return, only_before_answer=not keyed)

    def _find(self, identity: RequestIdentity) -> SharedRun | None:
        if identity.key is not None:
            meaning, call = self._keyed.get((identity.scope, identity.key), (identity.meaning, None))
            if meaning != identity.meaning:
                raise key_reused()
            return call
        if not identity.retry_count:
            return None
        # one who is still served is somebody else who happens to say the same
        attempts = self._counted.get((identity.scope, identity.bytes), [])
        return next((call for call in attempts if call.is_deserted), None)

    def _begin(self, identity: RequestIdentity, source: RunSource) -> SharedRun:
        call = SharedRun(source, self._grace_seconds, partial(self._forget, identity))
        if identity.key is not None:
            self._keyed[identity.scope, identity.key] = (identity.meaning, call)
        elif identity.retry_count is not None:
            self._counted[identity.scope, identity.bytes].append(call)
        return call

    def _forget(self, identity: RequestIdentity, call: SharedRun) -> None:
        """Whoever asks now is told by the store, or has a new run; forgetting twice is no harm."""
        if identity.key is not None:
            _, known = self._keyed.get((identity.scope, identity.key), ("", None))
            if known is call:
                del self._keyed[identity.scope, identity.key]
        elif call in (attempts := self._counted.get((identity.scope, identity.bytes), [])):
            attempts.remove(call)
            if not attempts:
                del self._counted[identity.scope, identity.bytes]


def _shared_runs(request: Request) -> SharedRuns:
    shared_runs: SharedRuns = request.app.state.shared_runs
    return shared_runs


SharedRunsDep = Annotated[SharedRuns, Depends(_shared_runs)]


def key_reused() -> ApiError:
    """A key stands for one request, and this is another one."""
    message = "Idempotency-Key was used for another request; use a new key for each"
    return ApiError(400, message, param="Idempotency-Key", code="idempotency_key_reused")
