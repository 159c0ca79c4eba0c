"""Groups of items that are one occurrence, e.g. the alerts of a storm: the first is judged, and speaks for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tasks.items.items import Item

_TITLES = 20
_SEVERITIES = ("severity", "level", "urgency", "priority")


def gather(items: Sequence[Item]) -> tuple[list[Item], dict[str, list[Item]]]:
    """Return the first item of each group in their order, and by its key the others that are alike.

    The first is shown how many there are, their severities and some of their titles.
    """
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(f"group {item.group}" if item.group is not None else f"item {item.key}", []).append(item)
    alike = {first.key: others for first, *others in groups.values() if others}
    return [_with_summary(group) for group in groups.values()], alike


def _with_summary(group: Sequence[Item]) -> Item:
    first, *others = group
    if not others:
        return first
    severities = Counter(severity for item in group if (severity := _severity(item.value)) is not None)
    summary: dict[str, Any] = {"alike": len(group), "other_titles": [item.title for item in others[:_TITLES]]}
    if severities:
        summary["severities"] = dict(severities)
    return first.with_details({"group": summary})


def _severity(value: Any) -> str | None:
    places = [value, value.get("labels")] if isinstance(value, dict) else []
    found = (place[name] for place in places if isinstance(place, dict) for name in _SEVERITIES if name in place)
    return next((one for one in found if isinstance(one, str)), None)
