"""What agents and strangers say is text in a log, and nothing else."""

import logging

from agent.domain.errors import WorkspaceError
from deployments.telemetry.logs import PrintableRecord, Seldom, quiet_runs


def said(message: str, *arguments: object) -> str:
    return PrintableRecord("agent", logging.INFO, "", 0, message, arguments, None).getMessage()


def test_terminal_escapes_and_direction_marks_do_not_reach_a_log() -> None:
    assert said("%s", "\x1b]0;owned\x07\x1b[31mred\u202etxt") == "redtxt"


def test_no_line_begins_with_what_somebody_else_has_written() -> None:
    forged = "2026-01-01 00:00:00 ERROR   agent: forged"
    assert [line.startswith("    ") for line in said("first\r\n%s", forged).splitlines()] == [False, True]


def test_plain_messages_stay_as_they_are() -> None:
    assert said("● 3 of %d", 4) == "● 3 of 4"


def of_a_run(message: str, error: Exception | None = None) -> logging.LogRecord:
    """A record of Prefect's engine, after the filters of its logger."""
    quiet_runs()
    log = logging.getLogger("prefect.flow_runs")
    details = (type(error), error, None) if error is not None else None
    record = log.makeRecord(log.name, logging.ERROR, "", 0, message, (), details)
    assert log.filter(record)
    return record


def test_an_error_that_we_understand_has_no_traceback_and_another_has() -> None:
    errors = (WorkspaceError("no route to host"), KeyError("members"))
    records = [of_a_run("Encountered exception during execution", error) for error in errors]
    assert [record.exc_info is not None for record in records] == [False, True]


def test_what_is_said_again_and_again_passes_once_in_ten_minutes() -> None:
    now = 0.0
    seldom = Seldom(lambda: now)

    def passes(message: str) -> bool:
        return seldom.filter(PrintableRecord("events", logging.WARNING, "", 0, message, (), None))

    lines = ["failed with 6 items", "failed with 2 items", "another", "failed with 3 items"]
    assert [passes(line) for line in lines] == [True, False, True, False]
    now = 601.0
    assert passes("failed with 9 items")


def test_a_crash_of_a_run_that_nobody_has_cancelled_is_an_error() -> None:
    record = of_a_run("Crash detected! Execution was cancelled by the runtime environment.")
    assert record.levelno == logging.ERROR
