"""One job per Idempotency-Key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from uuid import UUID

from starlette.requests import Request

from agent.system.concurrency import run_to_completion
from api.http.authentication import bearer_token
from api.http.errors import RETRY_SOON, ApiError, unavailable
from api.jobs.request import JobRequest
from deployments.host.host import Host
from store.idempotency import KeyClaim

_POLL_SECONDS = 0.1
_WAIT_SECONDS = 10.0

Submit = Callable[[str | None], Awaitable[UUID]]
"""Queues the job and returns its id; for a key that Prefect knows already, the id of that run."""


async def submit_once(host: Host, request: Request, body: JobRequest, submit: Submit) -> UUID:
    """Return the run of the request's key, queued if there is none; without a key, a new one.

    Raises ApiError 409 for a key that was used with another body within a day.
    """
    key = request.headers.get("idempotency-key", "").strip()
    if not key:
        return await submit(None)
    scope = f"execute {sha256(bearer_token(request.scope)).hexdigest()}"
    body_hash = sha256(body.model_dump_json().encode()).hexdigest()
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        claim = await host.store.idempotency.claim(scope, key, body_hash)
        if claim.body_hash != body_hash:
            raise ApiError(409, "this Idempotency-Key was used with another body", code="idempotency_key_reused")
        if claim.run_id is not None:
            return claim.run_id
        if claim.fresh:
            return await _submit(host, scope, key, claim, submit)
        await asyncio.sleep(_POLL_SECONDS)
    raise unavailable("another request with this Idempotency-Key is still being accepted", headers=RETRY_SOON)


async def _submit(host: Host, scope: str, key: str, claim: KeyClaim, submit: Submit) -> UUID:
    idempotency = host.store.idempotency
    try:
        # Prefect may queue a run without an answer in time: by this key the next attempt gets that run
        run_id = await submit(f"execute {claim.generation}")
    except BaseException:
        await run_to_completion(idempotency.release(scope, key, claim))
        raise
    await idempotency.settle(scope, key, run_id)
    return run_id
