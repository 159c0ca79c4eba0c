"""Finds flows by their names."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectHTTPStatusError


async def find_flow_id(client: PrefectClient, name: str) -> UUID | None:
    """The id of the flow of that name; None while nothing of it is registered."""
    try:
        return (await client.read_flow_by_name(name)).id
    except PrefectHTTPStatusError as error:  # 3.8.8 raises no ObjectNotFound here
        if error.response.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise
