"""A job is followed over lines that break, each event once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from agent.domain.events import Ended, Event, Said
from cli.client.job_events import JobEvents, Quiet
from cli.client.service import reach_service
from cli.client.sse import ServerSentEvent, read_messages
from cli.errors import ServiceRefused

WORDS = [Said(text="one"), Said(text="two\u2028still two"), Said(text="three"), Ended(status="completed")]


def encoded(number: int, event: Event) -> bytes:
    return f"id: {number}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()


class Script(BaseHTTPRequestHandler):
    """Tells the events after the last that the caller has, as far as the next of `cuts` says."""

    cuts: list[int]
    asked: list[str | None]

    def do_GET(self) -> None:
        after = self.headers["Last-Event-ID"]
        self.asked.append(after)
        cut = self.cuts.pop(0)
        self.send_response(200 if cut >= 0 else -cut)
        self.end_headers()
        if cut < 0:
            self.wfile.write(b'{"detail": "not now"}')
            return
        self.wfile.write(b": here it begins\n\n")
        for number, event in list(enumerate(WORDS, 1))[int(after or 0) : cut]:
            self.wfile.write(encoded(number, event))
        if cut < len(WORDS):
            self.wfile.write(b"id: 99\ndata: {half of")

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def serving(cuts: list[int]) -> Iterator[tuple[int, list[str | None]]]:
    """A service that breaks each line where `cuts` says; negative: answers so instead."""
    handler = type("Handler", (Script,), {"cuts": cuts, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, handler.asked  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


def follow(monkeypatch: pytest.MonkeyPatch, port: int, away_seconds: float = 5) -> list[Event | Quiet]:
    monkeypatch.setenv("API_PORT", str(port))
    with reach_service() as service:
        return list(JobEvents(service, "job", away_seconds=away_seconds, first_pause_seconds=0.01))


def test_a_line_that_breaks_is_taken_up_where_it_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([2, -503, 2, 3, 4]) as (port, asked):
        heard = follow(monkeypatch, port)
    assert [one for one in heard if not isinstance(one, Quiet)] == WORDS
    assert asked == [None, "2", "2", "2", "3"]
    assert "503: not now" in [one.trouble for one in heard if isinstance(one, Quiet)]


def test_what_is_over_and_was_told_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([-204]) as (port, _):
        assert follow(monkeypatch, port) == []


def test_a_job_that_there_is_not_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([-404]) as (port, asked), pytest.raises(ServiceRefused, match="404"):
        follow(monkeypatch, port)
    assert len(asked) == 1


def test_a_service_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([-503] * 100) as (port, _), pytest.raises(ServiceRefused, match="agent-service watch job"):
        follow(monkeypatch, port, away_seconds=0.1)


def test_going_on_after_an_interruption_tells_no_event_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([4, 4]) as (port, asked):
        monkeypatch.setenv("API_PORT", str(port))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as service:
            follower = JobEvents(service, "job")
            events = iter(follower)
            first = [next(events) for _ in range(3)]
            del events
            rest = list(follower)
    assert [one for one in (*first, *rest) if not isinstance(one, Quiet)] == WORDS
    assert asked == [None, "2"]


def test_messages_are_read_however_they_are_cut() -> None:
    said = b': hello\n\nid: 7\nevent: said\ndata: "\xe2\x80\xa8 \xc3\xbc"\ndata: more\r\n\r\nid: 8\ndata: half'
    expected = [ServerSentEvent(), ServerSentEvent("7", '"\u2028 ü"\nmore')]
    for size in (1, 2, 3, len(said)):
        assert list(read_messages(said[at : at + size] for at in range(0, len(said), size))) == expected
