"""When a task may be tried again."""

from __future__ import annotations

from typing import Any

from prefect import State, Task
from prefect.client.schemas.objects import TaskRun


async def is_retryable(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """True for a failure that says of itself that doing it again is safe."""
    try:
        await state.aresult()
    except Exception as error:
        return bool(getattr(error, "retryable", False))
    return False
