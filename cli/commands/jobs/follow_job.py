"""Follows a job and shows its progress (used by run, rerun and watch)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from agent.domain.events import Event
from cli import exit_status
from cli.client.job_events import JobEvents, Quiet
from cli.client.retries import insist
from cli.client.wait_reason import why_it_waits
from cli.display.job_result import print_answer, show_ending
from cli.display.job_view import View, open_view
from cli.display.json_output import print_json
from cli.display.run_totals import RunTotals
from cli.errors import ServiceRefused

Job = dict[str, Any]
Interrupted = Callable[[View], bool]
"""Called at each Ctrl-C; returns True to go on following."""

LAST_SECONDS = 60


class JobFollower:
    """Follows one job on this terminal; made by the command, and used once."""

    def __init__(self, service: httpx.Client, job_id: str, *, budget_usd: float | None, as_json: bool, quiet: bool):
        self._service = service
        self._job_id = job_id
        self._tally = RunTotals(budget_usd)
        self._as_json = as_json
        self._quiet = quiet
        self._is_interrupted = False

    def stay(self, interrupted: Interrupted, ready: Callable[[], None] = lambda: None) -> int:
        """Show the job until it has ended, print its result, and return the exit status.

        `ready` is called once Ctrl-C is handled. Raises ServiceRefused.
        """
        with open_view(self._read(), self._tally, quiet=self._quiet) as view:
            if not self._follow(view, interrupted, ready):
                return exit_status.INTERRUPTED
            job = self._read(wait_seconds=LAST_SECONDS)
            is_shown = view.shows_last(job.get("result") or "")
        if job["status"] == "running":
            raise ServiceRefused(f"the job {self._job_id} has ended, and Prefect does not know it yet")
        if not self._quiet:
            show_ending(job, self._tally)
        if self._as_json:
            print_json(job)
        elif not is_shown:
            print_answer(job)
        return exit_status.INTERRUPTED if self._is_interrupted else exit_status.OF_JOB[job["status"]]

    def _follow(self, view: View, interrupted: Interrupted, ready: Callable[[], None]) -> bool:
        """Return True once the job has ended, False if the operator leaves before."""
        follower = JobEvents(self._service, self._job_id)
        while True:
            try:
                ready()
                for heard in follower:
                    self._pass_on(heard, view)
                return True
            except KeyboardInterrupt:
                self._is_interrupted = True
                if not interrupted(view):
                    return False

    def _pass_on(self, heard: Event | Quiet, view: View) -> None:
        if not isinstance(heard, Quiet):
            self._tally.count(heard)
            view.show(heard)
        elif heard.trouble:
            view.tell(f"{heard.trouble}; trying again")
        elif not self._is_interrupted:
            view.tell("" if self._tally.has_started else why_it_waits(self._service, self._job_id))

    def _read(self, wait_seconds: int = 0) -> Job:
        answer = insist(lambda: self._service.get(f"/jobs/{self._job_id}", params={"wait": wait_seconds}))
        job: Job = answer.json()
        return job
