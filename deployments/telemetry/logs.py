"""Logging set-up of the service, and filters for Prefect's run logs."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Literal
from uuid import UUID

from agent.domain.errors import AgentError, NotConfigured
from agent.redaction.redactor import Redactor
from agent.system.text import printable
from deployments.telemetry.log_format import JsonFormatter, TextFormatter
from tasks.agent_run.context import current_run
from tasks.triage.context import current_triage

Format = Literal["text", "json"]

_QUIET = {
    **dict.fromkeys(("httpx", "httpcore", "websockets", "alembic", "aiosqlite"), logging.WARNING),
    # each attempt to reach a collector that is away would be a warning
    "opentelemetry": logging.ERROR,
}
# Prefect gives these loggers handlers with another format
_CAPTURED = ("uvicorn", "fastapi", "prefect._internal")

# while a proxy refuses websockets, each event of a run would be two lines
_REPEATING = ("prefect.events.clients", "prefect._internal.concurrency")
_SELDOM_SECONDS = 600.0

_run_id: ContextVar[UUID | None] = ContextVar("about_run", default=None)


def configure_logs(level: str = "info", form: Format = "text", secrets: Iterable[str] = ()) -> None:
    """Write log lines to stderr, with `secrets` redacted; chatty libraries only from warnings on."""
    redactor = Redactor(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(redactor) if form == "json" else TextFormatter(redactor))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # for Prefect's handlers as well, which write the logs of runs
    logging.setLogRecordFactory(PrintableRecord)
    quiet_runs()
    for name in _REPEATING:
        logging.getLogger(name).addFilter(Seldom())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    for name in _CAPTURED:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


@contextmanager
def about_run(run_id: UUID) -> Iterator[None]:
    """While this is open, log lines name that run."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


class PrintableRecord(logging.LogRecord):
    """A log record without control characters, and with further lines indented: none can pose as a line of ours."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        if (run_id := _run_id.get()) is not None:
            self.run_id = run_id

    def getMessage(self) -> str:
        """Return the message, its further lines indented."""
        return printable(super().getMessage()).replace("\n", "\n    ")


class Seldom(logging.Filter):
    """Lets the same message of one logger pass once in ten minutes."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True for a message that did not pass within the last ten minutes."""
        message = _NUMBER.sub("", str(record.msg))
        now = self._now()
        if now - self._passed_at.get(message, float("-inf")) < _SELDOM_SECONDS:
            return False
        self._passed_at[message] = now
        return True


_NUMBER = re.compile(r"\d+")

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")

_BEGUN = ("Beginning flow run", "Beginning subflow run")
_DONE = ("Finished in state Completed(", "Finished in state Cancelling(")

_CRASHED = ("Crash detected!", *(f"Finished in state {name}(" for name in ("Crashed", "Cancelling", "Running")))
"""What Prefect's engine says, as errors, of a run that somebody has cancelled; the host says it in one line."""


def quiet_runs() -> None:
    """Drop from Prefect's run logs the lines that repeat a run's states; the service's own log keeps begin and end."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_spare)


def _is_cancelled() -> bool:
    """True in the context of a run whose cancellation was asked for."""
    for current in (current_run, current_triage):
        with suppress(NotConfigured):
            return current().cancellation.asked
    return False


def _spare(record: logging.LogRecord) -> bool:
    if isinstance(record.msg, str) and record.msg.startswith(_CRASHED) and _is_cancelled():
        return False
    if record.exc_info and isinstance(record.exc_info[1], AgentError):
        record.exc_info = record.exc_text = None  # its message says it all: it was raised for a person to read
    if record.levelno != logging.INFO or not isinstance(record.msg, str):
        return True
    if record.msg.startswith(_DONE) and record.name == "prefect.task_runs":
        return False
    if record.msg.startswith(_BEGUN + _DONE):
        record.send_to_api = False  # as Prefect's handler reads it
    return True
