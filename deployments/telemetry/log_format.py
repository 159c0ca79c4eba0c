"""Log formatters (text, JSON) with redaction."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from agent.redaction.redactor import Redactor

TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(about)s%(message)s"


def run_of(record: logging.LogRecord) -> str | None:
    """Return the id of the run that a line is about, from the service's or from Prefect's loggers."""
    run_id = getattr(record, "run_id", None) or getattr(record, "flow_run_id", None)
    return str(run_id) if run_id else None


class TextFormatter(logging.Formatter):
    """One line an event, the run's id before the message."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__(TEXT)
        self._redactor = redactor or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with a traceback below it if there is one."""
        run_id = run_of(record)
        record.about = f"[{run_id}] " if run_id else ""
        return self._redactor.redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and run_id and exception where there are any."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._redactor = redactor or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line as a JSON object."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (run_id := run_of(record)) is not None:
            line["run_id"] = run_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: self._redactor.redact(value) for name, value in line.items()}, ensure_ascii=False)
