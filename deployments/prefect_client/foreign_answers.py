"""Answers that are not Prefect's own: of an ingress, a proxy or a login page in front of its API."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient, SyncPrefectClient

FOREIGN = "x-foreign-answer"
"""The header that such a response gets here; its value says what came instead. Prefect's client keeps headers only."""

_PREFECTS_MEMBERS = {"detail", "exception_message"}
"""One of them is in the body of each error of Prefect's API."""

# these Prefect's client tries again itself, or they say nothing of what was asked for
_UNAVAILABLE = frozenset({401, 429, 502, 503, 504})


def distrust_async(client: PrefectClient) -> None:
    """Have `client` take an answer that is not Prefect's for a 503, which it tries again."""
    hooks = client._client.event_hooks
    if _check_async not in hooks["response"]:
        client._client.event_hooks = {**hooks, "response": [*hooks["response"], _check_async]}


def distrust_sync(client: SyncPrefectClient) -> None:
    """Do what `distrust_async` does for a client without a loop."""
    hooks = client._client.event_hooks
    if _check_sync not in hooks["response"]:
        client._client.event_hooks = {**hooks, "response": [*hooks["response"], _check_sync]}


async def _check_async(response: httpx.Response) -> None:
    if _is_doubtful(response):
        await response.aread()
        _replace_if_foreign(response)


def _check_sync(response: httpx.Response) -> None:
    if _is_doubtful(response):
        response.read()
        _replace_if_foreign(response)


def _is_doubtful(response: httpx.Response) -> bool:
    if response.status_code == HTTPStatus.NO_CONTENT or response.status_code in _UNAVAILABLE:
        return False
    if response.is_redirect:  # httpx follows it, and calls this again for where it leads
        return False
    return not response.is_success or not _is_json(response)


def _is_json(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.split(";")[0].strip() == "application/json"


def _replace_if_foreign(response: httpx.Response) -> None:
    if _is_prefects(response):
        return
    kind = response.headers.get("content-type", "no content type")
    response.headers[FOREIGN] = f"{response.status_code} with {kind}, which is not Prefect's own answer"
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE


def _is_prefects(response: httpx.Response) -> bool:
    if not _is_json(response):
        return response.is_success and not response.content
    try:
        body: Any = response.json()
    except ValueError:
        return False
    return response.is_success or (isinstance(body, dict) and not _PREFECTS_MEMBERS.isdisjoint(body))
