"""The result of a check: ok, note, problem (with remedy), skipped."""

from __future__ import annotations

from typing import Literal

from agent.domain.values import Frozen

Level = Literal["ok", "warning", "broken", "skipped"]


class Finding(Frozen):
    """One line of the doctor's; `mend` is what makes it green, a command where there is one."""

    check: str
    level: Level
    text: str
    mend: str = ""


def ok(check: str, text: str, mend: str = "") -> Finding:
    """All well."""
    return Finding(check=check, level="ok", text=text, mend=mend)


def warning(check: str, text: str, mend: str) -> Finding:
    """The service works so, and its operator should know."""
    return Finding(check=check, level="warning", text=text, mend=mend)


def broken(check: str, text: str, mend: str) -> Finding:
    """The service, or a run of it, fails so."""
    return Finding(check=check, level="broken", text=text, mend=mend)


def skipped(check: str, because: str) -> Finding:
    """It cannot be told while something else is broken."""
    return Finding(check=check, level="skipped", text=f"not looked at: {because} first")
