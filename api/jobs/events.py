"""GET /jobs/{id}/events: SSE stream or list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field, JsonValue, WithJsonSchema

from agent.domain.events import Ended
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.event_stream import COMMENT, EventStream, encode_event
from api.http.openapi import Document, error_responses
from api.jobs.routes import find_flow_run, find_job
from api.jobs.status import is_final
from deployments.host.host import Host
from deployments.prefect_client.calls import PrefectUnavailable
from store.journal.entry import Entry

MAX_EVENT_ID = 2**63 - 1
"""The largest integer that the databases store."""

KEEP_ALIVE_SECONDS = 2.0
"""After this long without an event a heartbeat is sent and the run's state is read: a host that died wrote no end."""

_ENDED = "ended"

EVENTS: dict[int | str, Document] = {
    200: {"description": "The events.", "content": {"text/event-stream": {}}},
    204: {"description": "That was the last event of the job."},
}

LastEventId = Annotated[
    str | None,
    Header(description="The id of the last event that the client has."),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{0,18}$"}),
]

router = APIRouter(tags=["jobs"])


class JobEvent(BaseModel):
    """One event of a job."""

    id: int = Field(description="1, 2, 3, … in its job.")
    at: datetime
    type: str
    event: JsonValue


class JobTranscript(BaseModel):
    """Events of a job, in order."""

    job_id: str
    events: list[JobEvent]
    next_after: int | None = Field(description="There may be more events: ask again with this as `after`.")


@router.get("/jobs/{job_id}/transcript", responses=error_responses(401, 404, 503))
async def read_transcript(
    job_id: str,
    host: HostDep,
    after: Annotated[int, Query(ge=0, le=MAX_EVENT_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> JobTranscript:
    """The events of a job so far."""
    flow_run = await find_flow_run(host, job_id)
    entries = await host.store.journal.read(flow_run.id, after, limit)
    events = [JobEvent(id=one.seq, at=one.at, type=one.type, event=json.loads(one.body)) for one in entries]
    more = entries[-1].seq if len(entries) == limit else None
    return JobTranscript(job_id=str(flow_run.id), events=events, next_after=more)


@router.get(
    "/jobs/{job_id}/events",
    responses={**EVENTS, **error_responses(400, 401, 404, 503)},
    response_class=Response,
)
async def stream_events(job_id: str, host: HostDep, last_event_id: LastEventId = None) -> Response:
    """The events of a job as server-sent events, until the job is over.

    With `Last-Event-ID`: the events after that one. The last event is `ended`; a client that has it gets 204, so that
    a browser's EventSource does not reconnect.
    """
    after = _position(last_event_id)
    run_id = (await find_flow_run(host, job_id)).id
    if after and await _is_last(host, run_id, after):
        return Response(status_code=204)
    return EventStream(_events(host, run_id, after), {"x-flow-run-id": str(run_id)})


def _position(last_event_id: str | None) -> int:
    if not last_event_id:
        return 0
    if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > 18:
        raise ApiError(400, "Last-Event-ID must be the id of an event", param="Last-Event-ID")
    return int(last_event_id)


async def _is_last(host: Host, run_id: UUID, seq: int) -> bool:
    entries = await host.store.journal.read(run_id, seq - 1, 1)
    return bool(entries) and entries[0].seq == seq and entries[0].type == _ENDED


async def _events(host: Host, run_id: UUID, after: int) -> AsyncGenerator[bytes]:
    # at once: a client's connection is open when it has the first bytes
    yield COMMENT
    async with aclosing(host.store.journal.follow(run_id, after)) as entries:
        next_entry = asyncio.ensure_future(anext(entries))
        was_over = False
        try:
            while True:
                await asyncio.wait({next_entry}, timeout=KEEP_ALIVE_SECONDS)
                if next_entry.done():
                    entry = next_entry.result()
                    yield _encode(entry)
                    if entry.type == _ENDED:
                        return
                    next_entry = asyncio.ensure_future(anext(entries))
                elif was_over:  # one heartbeat ago, and no event since
                    yield await _late_end(host, run_id)
                    return
                else:
                    was_over = await _is_over(host, run_id)
                    yield COMMENT
        except StopAsyncIteration:
            return
        finally:
            next_entry.cancel()
            await asyncio.gather(next_entry, return_exceptions=True)


async def _is_over(host: Host, run_id: UUID) -> bool:
    try:
        flow_run = await host.queue.find(run_id)
    except PrefectUnavailable:
        return False
    return flow_run is None or is_final(flow_run.state)


async def _late_end(host: Host, run_id: UUID) -> bytes:
    """Return the last event of a run whose host died; it has no id, because it is not in the journal."""
    job = await find_job(host, str(run_id))
    status = "error" if job.status == "running" else job.status
    event = Ended(status=status, error=job.error or None, cost_usd=job.cost_usd)
    return encode_event(event.model_dump(mode="json"), type=_ENDED)


def _encode(entry: Entry) -> bytes:
    return encode_event(json.loads(entry.body), type=entry.type, id=entry.seq)
