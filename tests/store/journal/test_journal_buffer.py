from __future__ import annotations

import json
from uuid import uuid4

from store.journal.buffer import JournalBuffer
from store.journal.entry import GAP
from store.journal.pending import Pending

RUN, OTHER = uuid4(), uuid4()


def drained(buffer: JournalBuffer) -> list[Pending]:
    batch = buffer.batch(1000, 10**9)
    buffer.discard(batch, written=True)
    return batch


def test_a_batch_stays_until_it_is_discarded() -> None:
    buffer = JournalBuffer(10_000)
    for number in range(3):
        buffer.put(Pending(RUN, "said", str(number)))
    assert buffer.batch(2, 10**9) == buffer.batch(2, 10**9)
    assert [event.body for event in drained(buffer)] == ["0", "1", "2"]
    assert len(buffer) == 0


def test_a_batch_holds_at_least_one_event_however_large() -> None:
    buffer = JournalBuffer(10_000)
    buffer.put(Pending(RUN, "said", "x" * 5000))
    buffer.put(Pending(RUN, "said", "x"))
    assert len(buffer.batch(10, 100)) == 1


def test_what_finds_no_room_is_counted_where_it_would_have_been() -> None:
    buffer = JournalBuffer(3000)
    for _ in range(10):
        buffer.put(Pending(RUN, "said", "x" * 500))
    kept = drained(buffer)
    buffer.put(Pending(RUN, "said", "later"))
    kept += drained(buffer)
    gaps = [event for event in kept if event.type == GAP]
    assert [json.loads(gap.text) for gap in gaps] == [{"dropped": buffer.dropped}]
    assert len(kept) - 1 + buffer.dropped == 11
    assert kept[-2:] == [*gaps, kept[-1]]
    assert kept[-1].text == "later"


def test_each_run_has_a_gap_of_its_own() -> None:
    buffer = JournalBuffer(1)
    for run_id in (RUN, OTHER, RUN):
        buffer.put(Pending(run_id, "said", "x"))
    assert [(gap.run_id, gap.text) for gap in drained(buffer)] == [(RUN, '{"dropped": 2}'), (OTHER, '{"dropped": 1}')]


def test_a_gap_on_its_way_to_the_database_counts_no_further() -> None:
    buffer = JournalBuffer(1)
    buffer.put(Pending(RUN, "said", "x"))
    buffer.batch(10, 10**9)
    buffer.put(Pending(RUN, "said", "y"))
    assert [gap.text for gap in drained(buffer)] == ['{"dropped": 1}', '{"dropped": 1}']


def test_a_refused_batch_becomes_a_gap_and_a_refused_gap_keeps_its_count() -> None:
    buffer = JournalBuffer(10_000)
    for _ in range(3):
        buffer.put(Pending(RUN, "said", "x"))
    buffer.discard(buffer.batch(10, 10**9), written=False)
    buffer.discard(buffer.batch(10, 10**9), written=False)
    assert [gap.text for gap in drained(buffer)] == ['{"dropped": 3}']
    assert buffer.dropped == 3


def test_memory_of_runs_that_are_written_is_let_go() -> None:
    buffer = JournalBuffer(10_000)
    buffer.put(Pending(RUN, "said", "x"))
    buffer.put(Pending(OTHER, "said", "x"))
    assert (buffer.last(RUN), buffer.last(OTHER), buffer.last(None)) == (1, 2, 2)
    drained(buffer)
    assert (buffer.last(RUN), buffer.last(OTHER), buffer.last(None), buffer.done) == (0, 0, 2, 2)
