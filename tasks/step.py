"""Shows where a run stands to whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tasks.context import current_run

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def step(
    work: Callable[Parameters, Coroutine[Any, Any, Result]],
) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """The same work, each attempt of it a step of its run; goes below Prefect's own decorator."""

    @wraps(work)
    async def watched(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        with current_run().step(work.__name__):
            return await work(*arguments, **options)

    return watched
