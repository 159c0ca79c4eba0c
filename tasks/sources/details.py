"""Reads what a source has beside a planned item, e.g. its comments."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import httpx

from tasks.sources.base import Detail, HttpSource
from tasks.sources.errors import SourceFailed
from tasks.sources.expressions import ExpressionFailed, evaluate
from tasks.sources.http_endpoint import HttpEndpoint, origin
from tasks.sources.pages.http_cache import HttpCache
from tasks.sources.secret_files import NamedSecrets

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


async def read_details(source: HttpSource, value: Any, secrets: NamedSecrets, cache: HttpCache) -> dict[str, Any]:
    """Return the details of an item by their names; one that is refused says why in its place.

    Raises SourceFailed where another attempt may help.
    """
    return {detail.name: await _read(source, detail, value, secrets, cache) for detail in source.details}


async def _read(source: HttpSource, detail: Detail, value: Any, secrets: NamedSecrets, cache: HttpCache) -> Any:
    try:
        address = httpx.URL(str(source.url)).join(_filled(detail.url, value))
        if origin(address) != origin(httpx.URL(str(source.url))):
            raise SourceFailed(f"{detail.name}: {address.host} is not the source's server")
        own: dict[str, Any] = {"url": str(address), "items": detail.items, "method": "GET", "body": None, "details": []}
        paging = {"cursor": None, "page_parameter": None, "offset_parameter": None, "more": None}
        endpoint = HttpEndpoint(source.model_copy(update=own | paging), secrets, cache)
        found = (await endpoint.read())[-detail.most :]
        return [evaluate(detail.show, one) for one in found] if detail.show is not None else found
    except (ExpressionFailed, httpx.InvalidURL) as error:
        return f"could not be read: {error}"
    except SourceFailed as failure:
        if failure.retryable:
            raise
        return f"could not be read: {failure}"


def _filled(template: str, value: Any) -> str:
    """Return the address; what comes from the item is quoted, so that it cannot lead to another path."""

    def fill(found: re.Match[str]) -> str:
        part = evaluate(found[1], value)
        if part is None or isinstance(part, dict | list) or str(part) in (".", ".."):
            raise ExpressionFailed(f"{found[1]} finds nothing that can stand in an address")
        return quote(str(part), safe="")

    return _PLACEHOLDER.sub(fill, template)
