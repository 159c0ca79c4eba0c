"""Follows the events of a job across broken connections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx
from pydantic import TypeAdapter, ValidationError

from agent.domain.events import Ended, Event
from cli.client.retries import AWAY_SECONDS, is_passing, trouble_of
from cli.client.sse import ServerSentEvent, read_messages
from cli.errors import ServiceRefused

SILENCE_SECONDS = 15.0
"""The service sends something every two seconds, at least a heartbeat."""

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Quiet(NamedTuple):
    """No event at the moment; `trouble` is the reason if the connection is broken."""

    trouble: str | None = None


class JobEvents:
    """The events of one job, each once and in order; a second iteration continues after the last event."""

    def __init__(
        self,
        service: httpx.Client,
        job_id: str,
        *,
        away_seconds: float = AWAY_SECONDS,
        first_pause_seconds: float = 0.5,
    ) -> None:
        self._service = service
        self._job_id = job_id
        self._away_seconds = away_seconds
        self._first_pause_seconds = first_pause_seconds
        self._after: str | None = None
        self._is_over = False

    def __iter__(self) -> Iterator[Event | Quiet]:
        """Raises ServiceRefused for a job that there is not, and when the service has been away for too long."""
        pause_seconds, away_since = self._first_pause_seconds, time.monotonic()
        while not self._is_over:
            trouble = "the service has closed the connection"
            try:
                for heard in self._listen():
                    pause_seconds, away_since = self._first_pause_seconds, time.monotonic()
                    yield heard
            except (httpx.TransportError, ServiceRefused) as error:
                if not is_passing(error):
                    raise
                trouble = trouble_of(error)
            if self._is_over:
                return
            if time.monotonic() - away_since > self._away_seconds:
                raise ServiceRefused(f"{trouble}; `agent-service watch {self._job_id}` looks again")
            yield Quiet(trouble)
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, 5.0)

    def _listen(self) -> Iterator[Event | Quiet]:
        """Yield what one connection brings, until it ends."""
        headers = {"Last-Event-ID": self._after} if self._after else {}
        path = f"/jobs/{self._job_id}/events"
        timeout = httpx.Timeout(10.0, read=SILENCE_SECONDS)
        with self._service.stream("GET", path, headers=headers, timeout=timeout) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                self._is_over = True
                return
            for message in read_messages(answer.iter_bytes()):
                event = _event(message)
                self._after = message.id or self._after
                self._is_over = isinstance(event, Ended)
                yield event or Quiet()
                if self._is_over:
                    return


def _event(message: ServerSentEvent) -> Event | None:
    """Return the event; None for a heartbeat, and for a type of a newer service."""
    if message.data is None:
        return None
    try:
        return _EVENT.validate_json(message.data)
    except ValidationError:
        return None
