"""The demo's tour against a service that answers badly: it ends in one line, never in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cli.commands.machine import demo_tour
from cli.commands.machine.demo_tour import TourFailed, _Tour

Answer = Callable[[httpx.Request], httpx.Response]
DONE = {"status": "completed", "result": "done", "cost_usd": 0.0002, "flow_run_url": "http://prefect/run"}


def tour(answer: Answer, *, links: bool = False) -> _Tour:
    client = httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))
    return _Tour(client, client, links=links)


def accepted(job: Callable[[], httpx.Response]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, json={"job_id": "the-job"})
        return job()

    return answer


def test_an_error_body_is_told_and_not_read_as_a_job() -> None:
    refused = accepted(lambda: httpx.Response(404, json={"detail": "Job not found"}))
    with pytest.raises(TourFailed, match=r"job the-job was answered with 404: .*Job not found"):
        tour(refused).job()
    with pytest.raises(TourFailed, match="the job was answered with 429"):
        tour(lambda request: httpx.Response(429, json={"detail": "queue is full"})).job()


def test_a_service_that_is_busy_for_a_moment_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_tour, "_LOOK_SECONDS", 0.01)
    answers: list[tuple[int, dict[str, Any]]] = [(503, {"detail": "busy"}), (200, {"status": "running"}), (200, DONE)]

    def job() -> httpx.Response:
        status, body = answers.pop(0)
        return httpx.Response(status, json=body)

    tour(accepted(job)).job()
    assert "cost $0.000200   job the-job\n" in capsys.readouterr().out, "links that are dead soon are not shown"


def test_a_job_that_ends_badly_ends_the_tour_with_its_reason() -> None:
    ended = accepted(lambda: httpx.Response(200, json={"status": "error", "error": "the host died"}))
    with pytest.raises(TourFailed, match="ended as error: the host died"):
        tour(ended).job()
