"""`agent-service cancel`: ends a job, and waits until nothing of it is left."""

from __future__ import annotations

import time
from typing import Any

from cli.service import ServiceRefused, reach_service

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 60.0


def cancel_job(job_id: str) -> int:
    """Have the running service end the job, and print what it came to; gives the exit status."""
    with reach_service() as service:
        job: dict[str, Any] = service.post(f"/jobs/{job_id}/cancel").json()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while job["status"] == "running":
            if time.monotonic() > deadline:
                raise ServiceRefused(f"the job {job_id} was told to end, and still runs")
            time.sleep(_LOOK_SECONDS)
            job = service.get(f"/jobs/{job_id}").json()
    print(f"{job['state']}: {job.get('error') or job['status']}")
    return 0
