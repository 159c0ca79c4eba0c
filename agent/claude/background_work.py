"""Tracks the background tasks of a CLI process: which still run, and whether the CLI will wake the model for one.

The pinned CLI (2.1.330) lists all live tasks in `background_tasks_changed` after each change, and wakes the model with
a turn of its own when a task has ended; `queued_turn_count` of a result is 0 even then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]

HELPERS = frozenset({"local_agent", "local_workflow", "in_process_teammate", "mcp_task"})
"""Task types that end by themselves, as the agent does. Other types are commands, e.g. a server that never ends."""


class BackgroundWork:
    """The background tasks of one run, made by its Turn; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._helpers: set[str] = set()
        self._commands: dict[str, float | None] = {}
        self._live: set[str] = set()
        self._seen: set[str] = set()
        self.in_turn = True
        """The model works, or is about to."""
        self.will_wake = False
        """A task has ended since the last model call began: the CLI starts a turn to report it to the model."""

    @property
    def live(self) -> list[str]:
        """The ids of all tasks that run."""
        return sorted(self._live)

    @property
    def has_helpers(self) -> bool:
        """True if a task runs that ends by itself."""
        return bool(self._helpers)

    @property
    def has_commands(self) -> bool:
        """True if a command runs, which may be quiet and may never end."""
        return bool(self._commands)

    def is_of_foreground(self, message: Message) -> bool:
        """True if the message says that a task ended which the agent itself waited for: its tool returns as well."""
        return message.get("subtype") == "task_notification" and str(message.get("task_id")) not in self._seen

    def commands_end_at(self, seconds: float) -> float:
        """Return when no command is waited for any more: `seconds` after the first result that each one outlived."""
        return max((since or self._clock()) + seconds for since in self._commands.values())

    def note(self, message: Message) -> None:
        """Take one message of the CLI into account."""
        match message:
            case {"type": "system", "subtype": "background_tasks_changed", "tasks": list(tasks)}:
                self._replace([task for task in tasks if isinstance(task, dict)])
            case {"type": "system", "subtype": "init"}:
                self.in_turn = True
            case {"type": "stream_event", "event": {"type": "message_start"}}:
                if message.get("parent_tool_use_id") is None:
                    self.in_turn, self.will_wake = True, False
            case {"type": "result"}:
                self.in_turn = False
                now = self._clock()
                self._commands = {task: since or now for task, since in self._commands.items()}

    def _replace(self, tasks: list[Message]) -> None:
        live = [task for task in tasks if not task.get("ambient") and not task.get("off_host")]
        names = {str(task.get("task_id")): str(task.get("task_type")) for task in live}
        if self._live - names.keys():
            self.will_wake = True  # in whatever order the CLI prints this and the notification
        self._live = set(names)
        self._seen |= self._live
        self._helpers = {task for task, kind in names.items() if kind in HELPERS}
        # one that is started after a result, e.g. by a helper, is waited for from then on
        since = None if self.in_turn else self._clock()
        self._commands = {task: self._commands.get(task, since) for task in names if task not in self._helpers}
