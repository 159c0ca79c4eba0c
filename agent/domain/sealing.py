"""Seals members of a request into one string that Prefect does not interpret, and opens them again.

Prefect takes `$ref` within parameters for a block of its own, and `__prefect_kind` for a variable or a template.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

SEALED = "sealed"
"""The member of a request that has the sealed ones, as JSON."""

_MEANINGFUL = ("$ref", "__prefect")


def seal(request: Mapping[str, Any], members: Iterable[str]) -> dict[str, Any]:
    """Return the request with those members in one string, as far as it has them."""
    opaque = {name: request[name] for name in members if request.get(name) is not None}
    if not opaque:
        return dict(request)
    return {**{name: value for name, value in request.items() if name not in opaque}, SEALED: json.dumps(opaque)}


def seal_meaningful(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with those members sealed in which Prefect would find something of its own."""
    return seal(request, [name for name, value in request.items() if _has_meaning(value)])


def unseal(request: Any) -> Any:
    """Return the request with its sealed members opened; what is not a request unchanged. Raises ValueError."""
    if not isinstance(request, Mapping) or (sealed := request.get(SEALED)) is None:
        return request
    opened = json.loads(sealed) if isinstance(sealed, str) else None
    if not isinstance(opened, dict):
        raise ValueError(f"{SEALED} must be a JSON object as text, as the service wrote it")
    return {**request, **opened, SEALED: None}


def _has_meaning(value: Any) -> bool:
    match value:
        case Mapping():
            return any(str(name).startswith(_MEANINGFUL) or _has_meaning(one) for name, one in value.items())
        case list():
            return any(_has_meaning(one) for one in value)
    return False
