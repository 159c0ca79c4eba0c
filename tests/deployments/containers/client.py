"""A caller of a service in a container, past any proxy of this machine."""

from __future__ import annotations

import json
import time
from typing import Any, Self

import httpx

TOKEN = "0123456789-abcdef-container"
AGENT = "service-upgrade"


class Caller:
    """Calls one host."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120, trust_env=False
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_ready(self) -> bool:
        """True if the host takes requests."""
        try:
            return self._client.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def start(self, *steps: dict[str, Any], **members: Any) -> str:
        """Queue a job in which the offline model does these steps; return its id."""
        body = {"agent": AGENT, "prompt": f"offline-model: {json.dumps(list(steps))}", **members}
        answer = self._ask("POST", "/execute", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def job(self, job_id: str, wait: float = 0) -> dict[str, Any]:
        """Return the job, waiting for its end."""
        answer = self._ask("GET", f"/jobs/{job_id}", params={"wait": wait})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def result(self, job_id: str, seconds: float = 900) -> dict[str, Any]:
        """Return the job once it has ended."""
        for _ in range(int(seconds / 30)):
            if (job := self.job(job_id, wait=30))["status"] != "running":
                return job
        raise AssertionError(f"job {job_id} still runs after {seconds:.0f} s")

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask as a client does: a busy Prefect is a 503, which says to come again."""
        deadline = time.monotonic() + 300
        while True:
            answer = self._client.request(method, path, **options)
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer
            time.sleep(2)

    def health(self) -> dict[str, Any]:
        """Return what the host says of itself."""
        return dict(self._client.get("/health").json())


def bash(command: str) -> dict[str, Any]:
    """A step: the agent runs a command."""
    return {"tool": "Bash", "input": {"command": command}}


def say(text: str) -> dict[str, Any]:
    """The last step: the agent's answer."""
    return {"text": text}
