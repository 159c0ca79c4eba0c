"""A run that writes without end fills neither the store nor the place of other runs: its rest is one gap."""

from __future__ import annotations

import json
import logging
from uuid import uuid4

import pytest

from store.journal.buffer import JournalBuffer
from store.journal.entry import GAP, LAST
from store.journal.pending import Pending
from store.journal.run_limit import RunLimit

RUN, OTHER = uuid4(), uuid4()
LIMIT = 100_000


@pytest.fixture
def buffer() -> JournalBuffer:
    return JournalBuffer(10**9, RunLimit(LIMIT))


def drained(buffer: JournalBuffer) -> list[Pending]:
    batch = buffer.batch(10_000, 10**9)
    buffer.discard(batch, written=True)
    return batch


@pytest.mark.parametrize("text", ["x" * 30_000, "é" * 15_000, "x"], ids=["large", "not ascii", "small"])
def test_its_rest_is_one_gap_before_its_last_event(
    buffer: JournalBuffer, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    written = []
    for _ in range(1000):
        buffer.put(Pending(RUN, "said", text))
        written += drained(buffer)
    assert sum(len(event.body.encode()) for event in written) <= LIMIT
    assert {event.type for event in written} == {"said"}
    buffer.put(Pending(RUN, LAST, "{}"))
    gap, last = drained(buffer)
    assert (gap.type, json.loads(gap.text), last.type) == (GAP, {"dropped": 1000 - len(written)}, LAST)
    assert len([record for record in caplog.records if "left out" in record.message]) == 1


def test_other_runs_and_what_comes_after_an_end_are_written(buffer: JournalBuffer) -> None:
    for _ in range(10):
        buffer.put(Pending(RUN, "said", "x" * 30_000))
    buffer.put(Pending(OTHER, "said", "hello"))
    buffer.put(Pending(RUN, LAST, "{}"))
    buffer.put(Pending(RUN, "said", "again"))
    assert [(event.run_id, event.type) for event in drained(buffer)][-4:] == [
        (OTHER, "said"),
        (RUN, GAP),
        (RUN, LAST),
        (RUN, "said"),
    ]


def test_a_run_within_its_limit_has_no_gap(buffer: JournalBuffer) -> None:
    for _ in range(10):
        buffer.put(Pending(RUN, "said", "hello"))
    buffer.put(Pending(RUN, LAST, "{}"))
    assert [event.type for event in drained(buffer)] == ["said"] * 10 + [LAST]


def test_the_bytes_of_runs_that_have_ended_are_forgotten() -> None:
    limit = RunLimit(LIMIT)
    for run_id in (uuid4() for _ in range(100)):
        limit.admit(Pending(run_id, "said", "x" * 2 * LIMIT))
        limit.admit(Pending(run_id, LAST, "{}"))
    assert (limit._bytes, limit._gaps) == ({}, {})
