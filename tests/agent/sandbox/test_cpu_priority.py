"""What an agent starts has a lower CPU priority than the service, and starts also where none can be set."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agent.sandbox.cpu_priority import NICE, with_lower_priority

SCRIPT = """cat /proc/self/autogroup 2>/dev/null; cut -d' ' -f19 /proc/self/stat; echo "$@" """
SHOW = ["/bin/sh", "-c", SCRIPT, "sh", "a b", "$c"]


def test_an_agent_and_its_descendants_yield_to_the_service() -> None:
    done = subprocess.run(with_lower_priority(SHOW), capture_output=True, text=True, check=True, start_new_session=True)
    *autogroup, nice, words = done.stdout.splitlines()
    assert int(nice) == min(19, os.nice(0) + NICE)
    assert words == "a b $c"
    if autogroup and Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1":
        assert autogroup[0].endswith(f"nice {NICE}")
    assert done.stderr == ""


def test_without_the_program_nice_it_starts_all_the_same(tmp_path: Path) -> None:
    command = with_lower_priority(["/bin/echo", "started"])
    before = _autogroup()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": str(tmp_path)})
    assert (done.stdout, done.stderr) == ("started\n", "")
    assert _autogroup() == before, "the session of whoever started it is not slowed down"


def _autogroup() -> str:
    path = Path("/proc/self/autogroup")
    return path.read_text() if path.exists() else ""
