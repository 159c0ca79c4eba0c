"""The result of a check: ok, a warning, broken, or skipped because of another problem."""

from __future__ import annotations

from typing import Literal

from agent.domain.values import Frozen

Level = Literal["ok", "warning", "broken", "skipped"]


class Finding(Frozen):
    """One line of `doctor`; `mend` says what to do, as a command where there is one."""

    check: str
    level: Level
    text: str
    mend: str = ""


def ok(check: str, text: str, mend: str = "") -> Finding:
    """Return a finding without a problem."""
    return Finding(check=check, level="ok", text=text, mend=mend)


def warning(check: str, text: str, mend: str) -> Finding:
    """Return a problem with which the service works."""
    return Finding(check=check, level="warning", text=text, mend=mend)


def broken(check: str, text: str, mend: str) -> Finding:
    """Return a problem with which the service, or a run, fails."""
    return Finding(check=check, level="broken", text=text, mend=mend)


def skipped(check: str, because: str) -> Finding:
    """Return the finding of a check that another problem prevents."""
    return Finding(check=check, level="skipped", text=f"skipped: fix {because} first")
