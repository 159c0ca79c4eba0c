"""Runs `agent-service` in the process of a test."""

from __future__ import annotations

import asyncio
import sys

from cli.client import connection
from cli.main import main


def run_command(*words: str) -> int:
    """The exit status of `agent-service` with these words."""
    before, sys.argv = sys.argv, ["agent-service", *words]
    chosen = connection._choice.set(None)
    try:
        main()
    except SystemExit as ending:
        return int(ending.code or 0)
    finally:
        sys.argv = before
        connection._choice.reset(chosen)
    return 0


async def command(*words: str) -> int:
    """The same beside the event loop of a test."""
    return await asyncio.to_thread(run_command, *words)
