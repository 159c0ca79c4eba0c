"""Carrying on a run that its host left in the middle: the same session, and the files as they were."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import State
from prefect.states import AwaitingRetry

from agent.claude.turn import Content
from tasks.agent_run.context import current_run

PARTED = "its host has stopped; the agent carries on when it is back"
OWN_HOST_FIRST = timedelta(minutes=10)
"""How long a run is left to the host that has its files and its session; then any host may start it anew."""

_CARRY_ON = (
    "You were interrupted by a restart of the machine that you work on. Your files are as you left them; a command "
    "that was running has been ended. Carry on where you left off. If you had not begun, this is your task:"
)


def carry_on(content: Content) -> Content:
    """What is said to an agent that goes on; `content` is what it was asked first."""
    if isinstance(content, str):
        return f"{_CARRY_ON}\n\n{content}"
    return [{"type": "text", "text": _CARRY_ON}, *content]


def part() -> State[Any] | None:
    """The state of a run that its host leaves in the middle; None for one that somebody has cancelled.

    The cancellation is taken back from the asyncio task, so that the flow can end.
    """
    if not current_run().is_parting:
        return None
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    return AwaitingRetry(scheduled_time=datetime.now(UTC) + OWN_HOST_FIRST, message=PARTED)
