"""The run that an Idempotency-Key stands for: started by whoever was first with it, told to all who come with it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from agent.domain.result import Outcome
from agent.system.concurrency import run_to_completion
from api.runs.followed_run import FollowedRun
from api.runs.local_run import LocalRun
from api.runs.presence import Presence
from api.runs.request_identity import RequestIdentity
from api.runs.shared_run import key_reused
from api.runs.transcript import RunTranscript
from store.errors import StoreError
from store.idempotency import UNSETTLED, KeyClaim

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
_CERTAIN_SECONDS = UNSETTLED.total_seconds() - 10
"""How long a claim is certainly ours though no run has begun."""


class ClaimLost(Exception):
    """While we waited for a slot our claim has lapsed, and another run has the key."""


@dataclass
class KeyedRun:
    """Claims the key, then runs here, or follows the run that has it.

    The key is given back by a run that came to nothing: none started, or its caller left it.
    """

    key: str
    identity: RequestIdentity
    here: LocalRun
    elsewhere: FollowedRun
    _attendance: Presence | None = field(default=None, init=False)

    async def run(self, transcript: RunTranscript) -> Outcome:
        """The outcome of the key's one run. Raises ApiError for a key of another request, and what the runs do."""
        bad: dict[UUID, Outcome] = {}
        while True:
            claim = await self._claim()
            if claim.fresh:
                with suppress(ClaimLost):
                    return await self._run_here(transcript)
            elif claim.run_id is None:
                await asyncio.sleep(_POLL_SECONDS)
            elif claim.run_id in bad:
                return bad[claim.run_id]
            else:
                outcome = await self.elsewhere.follow(claim.run_id, transcript)
                if outcome.error is None or transcript.length:
                    return outcome
                bad[claim.run_id] = outcome  # the key's answer, unless the key has been given back

    async def is_awaited(self) -> bool:
        """Whether somebody waits for it at another host."""
        return self._attendance is not None and await self._attendance.anybody()

    async def _claim(self) -> KeyClaim:
        identity = self.identity
        claim = await self.here.host.store.idempotency.claim(identity.scope, self.key, identity.meaning)
        if claim.body_hash != identity.meaning:
            raise key_reused()
        return claim

    async def _run_here(self, transcript: RunTranscript) -> Outcome:
        claimed_at = time.monotonic()
        settled = False

        async def started(run_id: UUID) -> None:
            nonlocal settled
            settled = await self._settle(run_id)

        try:
            outcome = await self.here.run(transcript, started)
        except ClaimLost:
            raise
        except BaseException:
            if settled or time.monotonic() - claimed_at < _CERTAIN_SECONDS:
                await run_to_completion(self._release())
            raise
        if outcome.result is None:
            await self._release()
        return outcome

    async def _settle(self, run_id: UUID) -> bool:
        store = self.here.host.store
        if not await store.idempotency.settle(self.identity.scope, self.key, run_id):
            raise ClaimLost
        self._attendance = Presence(store.journal, run_id)
        return True

    async def _release(self) -> None:
        try:
            await self.here.host.store.idempotency.release(self.identity.scope, self.key)
        except StoreError as error:
            _log.warning("an Idempotency-Key could not be given back, it keeps its answer: %s", error)
