"""Sinks for the events of a run: Prefect's run log and the journal."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from agent.claude.event_lines import describe
from agent.domain.events import Event, Sink, TextDelta, ThinkingDelta
from agent.system.text import printable
from store.journal.journal import Journal


def to_log(logger: logging.Logger | logging.LoggerAdapter[Any]) -> Sink:
    """Return a sink that writes each step as one line of the run's log."""

    def sink(event: Event) -> None:
        line = describe(event)
        if line is not None:
            logger.info("%s", printable(line, one_line=True))

    return sink


def to_journal(journal: Journal, run_id: UUID) -> Sink:
    """Return a sink that writes each event to the journal, without deltas: the whole text follows them."""

    def sink(event: Event) -> None:
        if not isinstance(event, TextDelta | ThinkingDelta):
            journal.append(run_id, event.type, event.model_dump_json())

    return sink
