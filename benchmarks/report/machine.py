"""The machine of a measurement, in one line."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import psutil

from agent.claude.installation import find_cli
from agent.settings import AgentSettings


def describe_machine() -> str:
    """The cores, the memory, the system, and how much else it has to do: figures are worth little without."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), {memory:.0f} GiB, {_system()}, "
        f"Python {platform.python_version()}, {_cli()}, load {load:.1f} at the start"
    )


def _processor() -> str:
    try:
        names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return " ".join(names[0].split()) if names else platform.machine()


def _system() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.system()
    return f"{name}, kernel {platform.release().split('-')[0]}"


def _cli() -> str:
    found = subprocess.run([find_cli(AgentSettings()), "--version"], capture_output=True, text=True, check=False)
    return f"claude {found.stdout.split(' ')[0] or 'of an unknown version'}"
