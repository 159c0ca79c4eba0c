"""Prepares a slot for the next run, and is killed at a step."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from repositories import ENVIRONMENT, Host

from agent.domain.checkout import Identity
from agent.workspaces.workspaces import Workspaces


async def main(state: Path, remote: str, wanted: str) -> None:
    def step(name: str) -> None:
        if name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    host = Host(state, remote)
    workspaces = Workspaces(host.settings, {"PATH": ENVIRONMENT["PATH"]}, step)
    snapshot = await workspaces.sync()
    await workspaces.checkout(host.slot(), snapshot, Identity(run_id="run-2"))


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
