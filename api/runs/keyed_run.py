"""Run source: the run of an Idempotency-Key."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from agent.domain.result import Outcome
from agent.system.concurrency import run_to_completion
from api.runs.followed_run import FollowedRun
from api.runs.local_run import LocalRun
from api.runs.presence import Presence
from api.runs.request_identity import RequestIdentity
from api.runs.shared_run import RunSource, key_reused
from api.runs.transcript import RunTranscript
from store.errors import StoreError
from store.idempotency import KeyClaim

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25


class ClaimLost(Exception):
    """The claim lapsed while its request waited for a slot, and another run has the key."""


@dataclass
class KeyedRun(RunSource):
    """Claims the key, then runs here, or follows the run that has the key; made for each keyed request.

    The key is released if no run started, or if its client left the run.
    """

    key: str
    identity: RequestIdentity
    here: LocalRun
    elsewhere: FollowedRun
    _presence: Presence | None = field(default=None, init=False)

    async def run(self, transcript: RunTranscript) -> Outcome:
        """Return the outcome of the key's one run. Raises ApiError for a key of another request, and what runs do."""
        failed: dict[UUID, Outcome] = {}
        while True:
            claim = await self._claim()
            if claim.fresh:
                with suppress(ClaimLost):
                    return await self._run_here(claim, transcript)
            elif claim.run_id is None:
                await asyncio.sleep(_POLL_SECONDS)
            elif claim.run_id in failed:
                return failed[claim.run_id]
            else:
                outcome = await self.elsewhere.follow(claim.run_id, transcript)
                if outcome.error is None or transcript.length:
                    return outcome
                # it is the key's answer, unless the key was released: claim once more to find out
                failed[claim.run_id] = outcome

    async def is_awaited(self) -> bool:
        """True if a client waits for the run at another host."""
        return self._presence is not None and await self._presence.is_anyone_waiting()

    async def _claim(self) -> KeyClaim:
        identity = self.identity
        claim = await self.here.host.store.idempotency.claim(identity.scope, self.key, identity.meaning)
        if claim.body_hash != identity.meaning:
            raise key_reused()
        return claim

    async def _run_here(self, claim: KeyClaim, transcript: RunTranscript) -> Outcome:
        try:
            outcome = await self.here.run(transcript, self._settle)
        except ClaimLost:
            raise
        except BaseException:
            await run_to_completion(self._release(claim))
            raise
        if outcome.result is None:
            await self._release(claim)
        return outcome

    async def _settle(self, run_id: UUID) -> None:
        store = self.here.host.store
        if not await store.idempotency.settle(self.identity.scope, self.key, run_id):
            raise ClaimLost
        self._presence = Presence(store.journal, run_id)

    async def _release(self, claim: KeyClaim) -> None:
        try:
            await self.here.host.store.idempotency.release(self.identity.scope, self.key, claim)
        except StoreError as error:
            _log.warning("an Idempotency-Key could not be released; it keeps the answer of its run: %s", error)
