"""The service's own log: one line an event, on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal
from uuid import UUID

from agent.redaction.redactor import Redactor
from agent.system.text import printable
from deployments.telemetry.log_format import JsonFormatter, TextFormatter

Format = Literal["text", "json"]

_QUIET = {
    **dict.fromkeys(("httpx", "httpcore", "websockets", "alembic", "aiosqlite"), logging.WARNING),
    # each attempt to reach a collector that is away would be a warning
    "opentelemetry": logging.ERROR,
}
# Prefect gives these handlers of their own, with a format of its own.
_CAPTURED = ("uvicorn", "fastapi", "prefect._internal")

_run_id: ContextVar[UUID | None] = ContextVar("about_run", default=None)


def configure_logs(level: str = "info", form: Format = "text", secrets: Iterable[str] = ()) -> None:
    """Write what the service logs as lines on stderr, without `secrets`; its libraries only from warnings on."""
    redactor = Redactor(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(redactor) if form == "json" else TextFormatter(redactor))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # for Prefect's handlers as well, which write the logs of runs
    logging.setLogRecordFactory(PrintableRecord)
    quiet_runs()
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    for name in _CAPTURED:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


@contextmanager
def about_run(run_id: UUID) -> Iterator[None]:
    """While this is open, what is logged says that it is about that run."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


class PrintableRecord(logging.LogRecord):
    """What strangers have written does nothing to a terminal, and begins no line that looks like one of ours."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        if (run_id := _run_id.get()) is not None:
            self.run_id = run_id

    def getMessage(self) -> str:
        """The message, its further lines set in."""
        return printable(super().getMessage()).replace("\n", "\n    ")


LOGGERS = ("prefect.flow_runs", "prefect.task_runs")

_BEGUN = ("Beginning flow run", "Beginning subflow run")
_DONE = ("Finished in state Completed(", "Finished in state Cancelling(")


def quiet_runs() -> None:
    """From now on the log of a run in Prefect has what the run did, and not what the page around it shows anyway.

    The service's own log keeps when a run began and ended.
    """
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_spare)


def _spare(record: logging.LogRecord) -> bool:
    if record.levelno != logging.INFO or not isinstance(record.msg, str):
        return True
    if record.msg.startswith(_DONE) and record.name == "prefect.task_runs":
        return False
    if record.msg.startswith(_BEGUN + _DONE):
        record.send_to_api = False  # as Prefect's handler reads it
    return True
