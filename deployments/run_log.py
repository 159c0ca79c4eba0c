"""What of Prefect's own chatter a run's log is spared."""

from __future__ import annotations

import logging

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
