"""Resumes a run that its host left unfinished: same session, same files."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import State
from prefect.states import AwaitingRetry

from agent.claude.turn import Content
from tasks.agent_run.context import current_run

SUSPENDED = "its host has stopped; the agent is resumed when the host is back"
OWN_HOST_FIRST = timedelta(minutes=10)
"""For so long only the host that has the files and the session resumes the run; then any host may start it anew."""

_RESUME_NOTE = (
    "You were interrupted by a restart of the machine that you work on. Your files are as you left them; a command "
    "that was running has been ended. Carry on where you left off. If you had not begun, this is your task:"
)


def with_resume_note(content: Content) -> Content:
    """Return the prompt of a resumed run; `content` is its first prompt."""
    if isinstance(content, str):
        return f"{_RESUME_NOTE}\n\n{content}"
    return [{"type": "text", "text": _RESUME_NOTE}, *content]


def suspend() -> State[Any] | None:
    """Return the state of a run that is being suspended; None for one that was cancelled.

    The cancellation is taken back from the asyncio task, so that the flow can end.
    """
    if not current_run().is_suspending:
        return None
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    return AwaitingRetry(scheduled_time=datetime.now(UTC) + OWN_HOST_FIRST, message=SUSPENDED)
