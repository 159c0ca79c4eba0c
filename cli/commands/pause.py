"""`agent-service pause` and `resume`: the kill switch."""

from __future__ import annotations

from cli.client.service import reach_service
from cli.display.job_result import print_json


def pause(*, cancel: bool, as_json: bool = False) -> int:
    """Have no agent start any more, and end those at work if asked; gives the exit status."""
    with reach_service() as service:
        switched = service.post("/pause", json={"cancel": cancel}).json()
    if as_json:
        print_json(switched)
        return 0
    print(f"paused: {', '.join(switched['paused'])}; `agent-service resume` ends it")
    if cancel:
        print(f"told to end: {switched['cancelled']} runs")
    return 0


def resume(*, as_json: bool = False) -> int:
    """Have agents start again; gives the exit status."""
    with reach_service() as service:
        switched = service.post("/resume").json()
    if as_json:
        print_json(switched)
    else:
        print("resumed")
    return 0
