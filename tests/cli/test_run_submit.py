"""Queuing a job from the terminal while Prefect is busy: the same key makes it one job."""

from __future__ import annotations

import httpx
import pytest

from cli.commands.jobs import run
from cli.errors import ServiceRefused


def service(answers: list[httpx.Response | Exception], keys: list[str]) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        match answers.pop(0):
            case httpx.Response() as response:
                return response
            case error:
                raise error

    def refuse(response: httpx.Response) -> None:
        if not response.is_success:
            raise ServiceRefused("refused", response.status_code)

    transport = httpx.MockTransport(answer)
    return httpx.Client(base_url="http://service", transport=transport, event_hooks={"response": [refuse]})


def test_a_busy_prefect_and_a_broken_connection_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.commands.jobs.run.time.sleep", lambda seconds: None)
    keys: list[str] = []
    answers = [httpx.Response(503), httpx.ReadError("broken"), httpx.Response(202, json={"job_id": "one"})]
    assert run._submit(service(answers, keys), {}, "the-key")["job_id"] == "one"
    assert keys == ["the-key"] * 3


def test_what_is_refused_for_good_is_not_asked_again() -> None:
    keys: list[str] = []
    for failure in (httpx.Response(422), httpx.Response(429), httpx.ConnectError("away")):
        with pytest.raises((ServiceRefused, httpx.ConnectError)):
            run._submit(service([failure], keys), {}, "the-key")
    assert len(keys) == 3
