"""What happens in a job, while it happens and later: as server-sent events, or as a whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, JsonValue, WithJsonSchema

from agent.domain.events import Ended
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.openapi import Document, answers
from api.jobs.routes import find_job, look_up
from api.jobs.status import is_final
from deployments.host.host import Host
from deployments.prefect_client.calls import PrefectUnavailable
from store.journal.entry import Entry

MAX_NUMBER = 2**63 - 1
"""The largest that databases hold."""

KEEP_ALIVE_SECONDS = 2.0
"""How long nothing is sent; then the run is looked at, too: it may have ended without a word."""

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_ENDED = "ended"

EVENTS: dict[int | str, Document] = {
    200: {"description": "The events.", "content": {"text/event-stream": {}}},
    204: {"description": "There is nothing after that event, and there never will be."},
}

LastEventId = Annotated[
    str | None,
    Header(description="The last one you have."),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{0,18}$"}),
]

router = APIRouter(tags=["jobs"])


class JobEvent(BaseModel):
    """One event."""

    id: int = Field(description="It counts 1, 2, 3... in its job.")
    at: datetime
    type: str
    event: JsonValue


class JobTranscript(BaseModel):
    """The events of a job, in order."""

    job_id: str
    events: list[JobEvent]
    next_after: int | None = Field(description="Ask again with this `after`: there may be more.")


@router.get("/jobs/{job_id}/transcript", responses=answers(401, 404, 503))
async def read_transcript(
    job_id: str,
    host: HostDep,
    after: Annotated[int, Query(ge=0, le=MAX_NUMBER)] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> JobTranscript:
    """All that was said and done in a job, so far."""
    flow_run = await look_up(host, job_id)
    entries = await host.store.journal.read(flow_run.id, after, limit)
    events = [JobEvent(id=one.seq, at=one.at, type=one.type, event=json.loads(one.body)) for one in entries]
    more = entries[-1].seq if len(entries) == limit else None
    return JobTranscript(job_id=str(flow_run.id), events=events, next_after=more)


@router.get(
    "/jobs/{job_id}/events",
    responses={**EVENTS, **answers(400, 401, 404, 503)},
    response_class=StreamingResponse,
)
async def stream_events(job_id: str, host: HostDep, last_event_id: LastEventId = None) -> Response:
    """Every event of a job as server-sent events, until it is over.

    With `Last-Event-ID` those after it. The last one is `ended`; who has it already gets 204, so that a browser's
    EventSource does not come again.
    """
    after = _position(last_event_id)
    run_id = (await look_up(host, job_id)).id
    if after and await _is_last(host, run_id, after):
        return Response(status_code=204)
    headers = {**_HEADERS, "x-flow-run-id": str(run_id)}
    return StreamingResponse(_events(host, run_id, after), media_type="text/event-stream", headers=headers)


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
    yield b": here it begins\n\n"
    async with aclosing(host.store.journal.follow(run_id, after)) as entries:
        coming = asyncio.ensure_future(anext(entries))
        was_over = False
        try:
            while True:
                await asyncio.wait({coming}, timeout=KEEP_ALIVE_SECONDS)
                if coming.done():
                    entry = coming.result()
                    yield _encode(entry)
                    if entry.type == _ENDED:
                        return
                    coming = asyncio.ensure_future(anext(entries))
                elif was_over:  # it was over a while ago, and nothing came since
                    yield await _late_end(host, run_id)
                    return
                else:
                    was_over = await _is_over(host, run_id)
                    yield b": still at work\n\n"
        except StopAsyncIteration:
            return
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _is_over(host: Host, run_id: UUID) -> bool:
    try:
        flow_run = await host.find_run(run_id)
    except PrefectUnavailable:
        return False
    return flow_run is None or is_final(flow_run.state)


async def _late_end(host: Host, run_id: UUID) -> bytes:
    """The last event of a run that nobody was there to write one for; it has no number, for it is kept nowhere."""
    job = await find_job(host, str(run_id))
    status = "error" if job.status == "running" else job.status
    return _format(_ENDED, Ended(status=status, error=job.error or None, cost_usd=job.cost_usd).model_dump_json())


def _encode(entry: Entry) -> bytes:
    return b"id: %d\n" % entry.seq + _format(entry.type, entry.body)


def _format(type: str, body: str) -> bytes:
    data: Any = json.loads(body)
    return f"event: {type}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
