"""The retry policy of tasks: an error that says it is retryable is retried."""

from __future__ import annotations

from typing import Any

from prefect import State, Task
from prefect.client.schemas.objects import TaskRun


async def is_retryable(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """True if the task's error says that a retry is safe."""
    try:
        await state.aresult()
    except Exception as error:
        return bool(getattr(error, "retryable", False))
    return False
