"""The order in which items are handed out when a cap lets some of them wait: nothing waits for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from store.handled_items import ItemAttempt
from tasks.items.items import Item
from tasks.triage.models import Order

_NEVER = datetime.min.replace(tzinfo=UTC)


def in_turn(
    items: Sequence[Item],
    order: Order,
    other_share: float,
    seen: Mapping[str, datetime],
    handled: Mapping[str, datetime],
) -> list[Item]:
    """Return the items as their turn is: by `order`, with a share of the places for the other end of it.

    `seen` has when each was first listed. `handled` has when each was last handed out, if what was handled is handled
    once more: then what was never handled comes first, and what was handled longest ago after it.
    """
    if handled:
        return sorted(items, key=lambda item: handled.get(item.key, _NEVER))

    def age(item: Item) -> datetime:
        return item.came_at or seen[item.key]

    oldest = sorted(items, key=age)
    newest = sorted(items, key=age, reverse=True)
    match order:
        case "oldest":
            return list(_merged(oldest, newest, other_share))
        case "newest":
            return list(_merged(newest, oldest, other_share))
    return list(_merged(items, oldest, other_share))


def last_handled(known: Mapping[str, ItemAttempt]) -> dict[str, datetime]:
    """Return when the items were last handed out."""
    return {key: attempt.renewed_at for key, attempt in known.items()}


def _merged(first: Sequence[Item], second: Sequence[Item], share: float) -> Iterator[Item]:
    """Yield each item once, in the order of `first`, each 1/share-th of them from `second`."""
    queues = iter(first), iter(second)
    taken: set[str] = set()
    owed = 0.0
    while len(taken) < len(first):
        owed += share
        is_second = owed >= 1 - 1e-9
        owed -= is_second
        item = next(one for one in queues[is_second] if one.key not in taken)
        taken.add(item.key)
        yield item
