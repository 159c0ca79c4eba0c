"""Calls to Prefect's API that end soon and fail in one way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from prefect.exceptions import PrefectHTTPStatusError

PATIENCE_SECONDS = 2.5
"""A caller is told within 3 s that Prefect is away."""


class PrefectUnavailable(Exception):
    """Prefect's API did not answer, or not in time; nothing is known of what it was asked."""

    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"Prefect's API is not available: {reason}; try again shortly")


@asynccontextmanager
async def calling_prefect(seconds: float = PATIENCE_SECONDS) -> AsyncIterator[None]:
    """Calls made in here end within `seconds`; raises PrefectUnavailable when the server is at fault."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise PrefectUnavailable(f"no answer within {seconds:g} s") from None
    except PrefectHTTPStatusError as error:
        if error.response.status_code < 500 and error.response.status_code != 401:
            raise
        raise PrefectUnavailable(f"it answered {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise PrefectUnavailable(f"{type(error).__name__}: {error}") from error
