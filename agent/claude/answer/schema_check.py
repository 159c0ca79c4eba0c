"""Judges a structured answer by the caller's schema, in a process of its own that can be ended.

A pattern can take for ever, and neither a thread nor the event loop can stop Python's regular expressions.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from agent.system.commands import Command, CommandFailed, TimeLimit

CHECK_SECONDS = 10.0
"""To start the process takes 0.2 s, on a busy machine many times that."""

_CHECKER = Path(__file__).with_name("schema_checker.py")


async def find_violation(schema: dict[str, Any], value: object, seconds: float = CHECK_SECONDS) -> str | None:
    """Return where `value` violates `schema`, or that it could not be judged in time; None if it is valid.

    A schema that the checker cannot apply, e.g. a pattern in another dialect, is left to the CLI's own check.
    """
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    checker = Command([sys.executable, "-I", str(_CHECKER)], environment, Path("/"), TimeLimit(seconds))
    try:
        printed = await checker.run(json.dumps({"schema": schema, "value": value}).encode())
    except CommandFailed as failure:
        if failure.exit_status is not None and failure.exit_status > 0:
            return None
        return f"the answer could not be checked against the schema within {seconds:g} s; simplify its patterns"
    violation = json.loads(printed)
    return None if violation is None else f"the answer does not follow the schema: {violation}"
