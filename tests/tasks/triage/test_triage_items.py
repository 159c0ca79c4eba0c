"""What is known of a triage's items: by status, by page, and quickly."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from store.handled_items import ClaimTerms
from store.store import Store
from store.triage_items import ItemVerdict, SeenItem

TERMS = ClaimTerms(max_attempts=3, again=False, lease=timedelta(seconds=60))


def seen(number: int) -> SeenItem:
    return SeenItem(f"k{number}", f"item {number}\0\ud800", f"https://x.example/{number}")


async def test_an_item_keeps_when_it_was_first_seen(store: Store) -> None:
    first = await store.items.note("t", [seen(1)])
    assert await store.items.note("t", [SeenItem("k1", "another title", None), seen(2)]) == {
        "k1": first["k1"],
        "k2": (await store.items.first_seen("t", ["k2"]))["k2"],
    }
    assert {item.key: item.title for item in await store.items.find("t")} == {
        "k1": "another title",
        "k2": seen(2).title,
    }
    assert await store.items.find("other") == []


async def test_items_are_found_by_their_status(store: Store) -> None:
    await store.items.note("t", [seen(number) for number in range(4)])
    claims = [await store.handled.claim("t", f"k{number}", "f", uuid4(), TERMS) for number in range(3)]
    await store.handled.settle(claims[0].handling.claim_id, "done")
    await store.handled.settle(claims[1].handling.claim_id, "failed", "it broke")
    run_id = uuid4()
    await store.items.record_verdict("t", "k0", ItemVerdict(run_id, '{"priority": "high"}', 0.5))
    for status, key in (("done", "k0"), ("failed", "k1"), ("at work", "k2"), ("waiting", "k3")):
        assert [item.key for item in await store.items.find("t", status=status)] == [key]  # type: ignore[arg-type]
    assert [item.key for item in await store.items.find("t", status="set aside", max_attempts=1)] == ["k1"]
    [judged] = await store.items.find("t", key="k0")
    assert (judged.verdict, judged.judged_by, judged.cost_usd) == ('{"priority": "high"}', run_id, 0.5)
    assert await store.items.counts() == {"t": {"done": 1, "failed": 1, "at work": 1, "waiting": 1}}


async def test_five_thousand_items_are_paged(store: Store) -> None:
    await store.items.note("t", [seen(number) for number in range(5_000)])
    pages = [await store.items.find("t", limit=100, offset=offset) for offset in (0, 100)]
    assert len({item.key for page in pages for item in page}) == 200
