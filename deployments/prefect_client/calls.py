"""Prefect API calls with a time limit and one error type."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import ValidationError

from deployments.prefect_client.foreign_answers import FOREIGN

CALLER_SECONDS = 2.5
"""Limit of a call that an HTTP caller waits for: it gets its 503 within 3 s."""

OPERATOR_SECONDS = 10.0
"""Limit of a call that an operator waits for, e.g. to pause all agents."""

BACKGROUND_SECONDS = 30.0
"""Limit of a call that no person waits for; a busy Prefect on SQLite can take that long."""

PAGE_RUNS = 200
"""Flow runs per query: Prefect's own maximum for one page."""


_NO_ANSWER = frozenset({401, 429})
"""Statuses that say nothing of what was asked for."""


class PrefectUnavailable(Exception):
    """Prefect's API did not answer, or not in time; the state of what was asked for is unknown."""

    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"Prefect's API is not available: {reason}; try again shortly")


@asynccontextmanager
async def calling_prefect(seconds: float | None = CALLER_SECONDS) -> AsyncIterator[None]:
    """End the calls made in here within `seconds`, if not None. Raises PrefectUnavailable if the server is at fault.

    That is also when something else answers in its place: an ingress, a proxy, a page in HTML.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise PrefectUnavailable(f"no answer within {seconds:g} s") from None
    except PrefectHTTPStatusError as error:
        if error.response.status_code < 500 and error.response.status_code not in _NO_ANSWER:
            raise
        what = error.response.headers.get(FOREIGN, error.response.status_code)
        raise PrefectUnavailable(f"it answered {what}") from error
    except httpx.HTTPError as error:
        raise PrefectUnavailable(f"{type(error).__name__}: {error}") from error
    except (json.JSONDecodeError, ValidationError) as error:
        raise PrefectUnavailable(f"its answer cannot be read ({type(error).__name__})") from error
