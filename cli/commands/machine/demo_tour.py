"""The tour of the demo: a chat completion, a job, a scheduled run and a triage, each shown with its cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
from rich.console import Console
from rich.panel import Panel

from cli.commands.machine.demo_triage import show_triage
from cli.display.formatting import dollars
from demo.service import Stage

_WAIT_SECONDS = 240.0
_LOOK_SECONDS = 0.2
_LETTER = "inbox/01-staff-engineer.md"

console = Console()

Check = Callable[[], Any]


class TourFailed(Exception):
    """A step of the tour did not end as it should; the message says which, and what the service answered."""


def show_tour(stage: Stage, *, links: bool) -> None:
    """Run and show all steps; `links`: with addresses in Prefect's UI. Raises TourFailed."""
    user, password = stage.prefect_auth.split(":", 1)
    headers = {"Authorization": f"Bearer {stage.token}"}
    try:
        with (
            httpx.Client(base_url=stage.url, headers=headers, timeout=_WAIT_SECONDS, trust_env=False) as service,
            httpx.Client(
                base_url=f"{stage.prefect_url}/api", auth=(user, password), timeout=_WAIT_SECONDS, trust_env=False
            ) as prefect,
        ):
            tour = _Tour(service, prefect, links=links)
            tour.chat()
            tour.job()
            tour.scheduled()
            if not show_triage(service, prefect, stage.origin):
                raise TourFailed("the triage did not come to its end in time")
    except httpx.HTTPError as error:
        raise TourFailed(f"no answer ({type(error).__name__}: {error})") from None
    except (KeyError, ValueError, TypeError) as error:
        raise TourFailed(f"an answer that was not expected ({type(error).__name__}: {error})") from None


class _Tour:
    """The steps; made once per demo."""

    def __init__(self, service: httpx.Client, prefect: httpx.Client, *, links: bool) -> None:
        self._service = service
        self._prefect = prefect
        self._links = links

    def chat(self) -> None:
        """Ask for a chat completion, as a client of OpenAI's API does."""
        body = {"messages": [{"role": "user", "content": f"Triage {_LETTER}."}]}
        answer = _expected(self._service.post("/v1/chat/completions", json=body), 200, "the chat completion")
        self._show("Chat completion  (POST /v1/chat/completions)", answer.headers["x-flow-run-id"])

    def job(self) -> None:
        """Queue a job and wait for it."""
        body = {"agent": "beads-task-runner", "prompt": "Take the next open task and do it.", "max_budget_usd": 1}
        answer = _expected(self._service.post("/execute", json=body), 202, "the job")
        self._show("Job  (POST /execute)", answer.json()["job_id"])

    def scheduled(self) -> None:
        """Wait for the first run that the schedule has made and a host has finished."""
        deployment = self._prefect.get("/deployments/name/agent_run/task-runner").raise_for_status().json()
        query = {
            "flow_runs": {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}},
            "limit": 1,
        }

        def first() -> dict[str, Any] | None:
            runs = self._prefect.post("/flow_runs/filter", json=query).raise_for_status().json()
            return runs[0] if runs else None

        self._show("Scheduled run", _until(first, "the scheduled run")["id"])

    def _show(self, title: str, job_id: str) -> None:
        job = _until(lambda: self._ended(job_id), f"{title}, {job_id}")
        text = str(job.get("result") or job.get("error") or job["status"])
        console.print(Panel(text, title=title, subtitle=job["status"], title_align="left", subtitle_align="right"))
        cost = job.get("cost_usd")
        link = f"   {job.get('flow_run_url')}" if self._links else ""
        console.print(
            f"cost {'unknown' if cost is None else dollars(cost)}   job {job_id}{link}\n", markup=False, soft_wrap=True
        )
        if job["status"] != "completed":
            raise TourFailed(f"{title} ended as {job['status']}: {text}")

    def _ended(self, job_id: str) -> dict[str, Any] | None:
        answer = self._service.get(f"/jobs/{job_id}")
        if answer.status_code >= 500:  # Prefect may be too busy for a moment
            return None
        job: dict[str, Any] = _expected(answer, 200, f"job {job_id}").json()
        return None if job["status"] == "running" else job


def _until(check: Check, what: str) -> Any:
    """Return what `check` gives, once it gives something. Raises TourFailed after four minutes."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while (found := check()) is None:
        if time.monotonic() > deadline:
            raise TourFailed(f"{what} did not end within {_WAIT_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)
    return found


def _expected(answer: httpx.Response, status: int, what: str) -> httpx.Response:
    if answer.status_code != status:
        raise TourFailed(f"{what} was answered with {answer.status_code}: {answer.text[:500]}")
    return answer
