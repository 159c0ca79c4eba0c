"""What agents and strangers say is text in a log, and nothing else."""

import logging

from deployments.telemetry.logs import PrintableRecord


def said(message: str, *arguments: object) -> str:
    return PrintableRecord("agent", logging.INFO, "", 0, message, arguments, None).getMessage()


def test_terminal_escapes_and_direction_marks_do_not_reach_a_log() -> None:
    assert said("%s", "\x1b]0;owned\x07\x1b[31mred\u202etxt") == "redtxt"


def test_no_line_begins_with_what_somebody_else_has_written() -> None:
    forged = "2026-01-01 00:00:00 ERROR   agent: forged"
    assert [line.startswith("    ") for line in said("first\r\n%s", forged).splitlines()] == [False, True]


def test_plain_messages_stay_as_they_are() -> None:
    assert said("● 3 of %d", 4) == "● 3 of 4"
