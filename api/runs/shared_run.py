"""One run shared by several HTTP requests (retries, reconnects), and the registry of those in progress.

A run is cancelled when its last subscriber leaves. A subscriber that may come back (it sent an Idempotency-Key, or is a
client that counts its retries) leaves it `grace_seconds` more, and longer while a client waits for it at another host.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Request

from agent.domain.errors import AgentError
from agent.domain.result import Outcome
from api.http.errors import RETRY_SOON, ApiError, unavailable
from api.runs.recent_failures import RecentFailures
from api.runs.request_identity import RequestIdentity
from api.runs.transcript import RunTranscript

PRESENCE_POLL_SECONDS = 1.0
"""Each poll reads the store; a client at another host announces itself every few seconds only."""

_log = logging.getLogger(__name__)


class RunSource(Protocol):
    """Starts or finds the run of a request; one per SharedRun."""

    async def run(self, transcript: RunTranscript) -> Outcome:
        """Run it to its end, with its events in `transcript`; a cancelled call cancels the run."""
        ...

    async def is_awaited(self) -> bool:
        """True if a client waits for the run at another host."""
        return False


class Subscriber:
    """One HTTP request that waits for a shared run; it unsubscribes once."""

    def __init__(
        self,
        transcript: RunTranscript,
        shared_run: SharedRun | None = None,
        *,
        may_return: bool = False,
        only_before_answer: bool = False,
    ) -> None:
        self.transcript = transcript
        self._shared_run = shared_run
        self._may_return = may_return
        self._only_before_answer = only_before_answer
        if shared_run is not None:
            shared_run.subscribe()

    def mark_answer_started(self) -> None:
        """Record that the answer has started."""
        # an SDK that counts its retries does not retry once it has read the first byte
        self._may_return = self._may_return and not self._only_before_answer

    def unsubscribe(self, *, answered: bool) -> None:
        """Stop waiting; `answered` is False for a client that has disconnected before the end of its answer."""
        if self._shared_run is not None:
            self._shared_run.unsubscribe(answered=answered, may_return=self._may_return)
            self._shared_run = None


class SharedRun:
    """A run and its number of subscribers; made by SharedRuns for a new request, and gone with the run's end."""

    def __init__(
        self,
        source: RunSource,
        grace_seconds: float,
        on_over: Callable[[SharedRun], None],
        on_outcome: Callable[[UUID, Outcome], None],
    ) -> None:
        self.transcript = RunTranscript()
        self._source = source
        self._grace_seconds = grace_seconds
        self._on_over = on_over
        self._on_outcome = on_outcome
        self._subscribers = 0
        self._grace: asyncio.Task[None] | None = None
        self._running = asyncio.create_task(self._run(), name="shared run")

    @property
    def has_subscribers(self) -> bool:
        """True if a request waits for the run at this host."""
        return self._subscribers > 0

    def subscribe(self) -> None:
        """Count one request more."""
        self._subscribers += 1
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def unsubscribe(self, *, answered: bool, may_return: bool) -> None:
        """Count one request less; without any, cancel the run at once or after the grace time."""
        self._subscribers -= 1
        if self._subscribers:
            return
        if answered or not may_return:
            self._cancel()
        else:
            self._grace = asyncio.create_task(self._wait_for_return())

    async def _wait_for_return(self) -> None:
        await asyncio.sleep(self._grace_seconds)
        while True:
            if not await self._source.is_awaited():
                break
            await asyncio.sleep(PRESENCE_POLL_SECONDS)
        self._grace = None
        self._cancel()

    def _cancel(self) -> None:
        self._on_over(self)
        self._running.cancel()

    async def _run(self) -> None:
        try:
            outcome = await self._source.run(self.transcript)
            if self.transcript.run_id is not None:
                self._on_outcome(self.transcript.run_id, outcome)
            self.transcript.finish(outcome)
        except asyncio.CancelledError:
            self.transcript.fail(unavailable("the run was cancelled", headers=RETRY_SOON))
            raise
        except Exception as error:
            if not self.has_subscribers and not isinstance(error, AgentError):
                _log.warning("a run without a waiting client failed: %s: %s", type(error).__name__, error)
            self._on_over(self)
            self.transcript.fail(error)


class SharedRuns:
    """The shared runs of this host; one per application."""

    def __init__(self, grace_seconds: float, repeat_failure_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._failures = RecentFailures(repeat_failure_seconds)
        self._keyed: dict[tuple[str, str], tuple[str, SharedRun]] = {}
        self._counted: defaultdict[tuple[str, str], list[SharedRun]] = defaultdict(list)

    def join(self, identity: RequestIdentity, source: RunSource) -> Subscriber:
        """Subscribe to the run of this request, also to one that failed a moment ago, or start `source`.

        Raises ApiError for a key of another request.
        """
        if failed := self._failures.find(identity):
            return Subscriber(failed)
        shared_run = self._find(identity) or self._start(identity, source)
        keyed = identity.key is not None
        may_return = keyed or identity.retry_count is not None
        transcript = shared_run.transcript
        return Subscriber(transcript, shared_run, may_return=may_return, only_before_answer=not keyed)

    def _find(self, identity: RequestIdentity) -> SharedRun | None:
        if identity.key is not None:
            meaning, shared_run = self._keyed.get((identity.scope, identity.key), (identity.meaning, None))
            if meaning != identity.meaning:
                raise key_reused()
            return shared_run
        if identity.retry_count is None:
            return None
        # two live requests with equal bytes are two requests; only an abandoned one can be a retry
        attempts = self._counted.get((identity.scope, identity.bytes), [])
        return next((attempt for attempt in attempts if not attempt.has_subscribers), None)

    def _start(self, identity: RequestIdentity, source: RunSource) -> SharedRun:
        shared_run = SharedRun(
            source, self._grace_seconds, partial(self._forget, identity), partial(self._failures.add, identity)
        )
        if identity.key is not None:
            self._keyed[identity.scope, identity.key] = (identity.meaning, shared_run)
        elif identity.retry_count is not None:
            self._counted[identity.scope, identity.bytes].append(shared_run)
        return shared_run

    def _forget(self, identity: RequestIdentity, shared_run: SharedRun) -> None:
        """Let later requests start a run, or read the stored answer; a second call changes nothing."""
        if identity.key is not None:
            _, known = self._keyed.get((identity.scope, identity.key), ("", None))
            if known is shared_run:
                del self._keyed[identity.scope, identity.key]
        elif shared_run in (attempts := self._counted.get((identity.scope, identity.bytes), [])):
            attempts.remove(shared_run)
            if not attempts:
                del self._counted[identity.scope, identity.bytes]


def _shared_runs(request: Request) -> SharedRuns:
    shared_runs: SharedRuns = request.app.state.shared_runs
    return shared_runs


SharedRunsDep = Annotated[SharedRuns, Depends(_shared_runs)]


def key_reused() -> ApiError:
    """Return the error for an Idempotency-Key that stands for another request."""
    message = "Idempotency-Key was used for another request; use a new key for each"
    return ApiError(400, message, param="Idempotency-Key", code="idempotency_key_reused")
