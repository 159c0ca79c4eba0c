"""A service that may be hurt: without schedules, on a file system of its own, with a remote that can be blocked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.chaos.faults import SlowRemote, SmallDisk
from demo.service import REGISTER, Stage, set_stage

SLOW = "slow"
"""The workspace whose remote can be blocked."""


@dataclass
class Arena:
    """The service, and what it can be hurt with besides signals."""

    stage: Stage
    remote: SlowRemote
    disk: SmallDisk


@contextmanager
def open_arena(directory: Path, model_url: str, settings: Mapping[str, str]) -> Iterator[Arena]:
    """Start it in `directory`, and end it at the end. Raises StageFailed."""
    directory.mkdir(parents=True, exist_ok=True)
    remote = SlowRemote(directory)
    disk = SmallDisk(directory / "stage" / "state")
    own = {
        "GIT_SSH_COMMAND": str(remote.program),
        "WORKSPACES": json.dumps({SLOW: {"remote": f"ssh://slow{directory}/stage/repository/origin.git"}}),
    }
    try:
        with set_stage(directory / "stage", model_url, own | dict(settings), write_register(directory)) as stage:
            yield Arena(stage, remote, disk)
    finally:
        disk.unmount()


def write_register(directory: Path) -> Path:
    """The demo's deployments as `prefect.yaml` in `directory`; nothing runs but what is asked for."""
    register = yaml.safe_load(REGISTER.read_text())
    for deployment in register["deployments"]:
        deployment.pop("schedules", None)
        deployment.pop("concurrency_limit", None)
    path = directory / "prefect.yaml"
    path.write_text(yaml.safe_dump(register))
    return path
