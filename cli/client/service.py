"""HTTP client of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from cli.client.connection import Connection, find_connection
from cli.errors import ServiceRefused

TIMEOUT_SECONDS = 120.0


@contextmanager
def reach_service(timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[httpx.Client]:
    """Give a client of the configured service, with its token.

    Raises ServiceRefused for each answer that is no success, and if nothing answers; TerminalError for a wrong setting.
    """
    connection = find_connection()

    def refuse(answer: httpx.Response) -> None:
        if not answer.is_success:
            raise ServiceRefused(_refusal(answer, connection), answer.status_code)

    try:
        with httpx.Client(
            base_url=connection.url,
            headers={"Authorization": f"Bearer {connection.token}"} if connection.token else {},
            timeout=timeout_seconds,
            event_hooks={"response": [refuse]},
            trust_env=False,  # a proxy is for the world outside
            verify=connection.url.startswith("https:"),  # reading the certificates takes 25 ms
        ) as service:
            yield service
    except httpx.TransportError as error:
        raise ServiceRefused(
            f"no service at {connection.url}, from {connection.origin} ({error}); start it with `agent-service up`"
        ) from None


def _refusal(answer: httpx.Response, connection: Connection) -> str:
    answer.read()
    try:
        detail = _sentence(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = answer.text
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        detail = f"{detail}; {_token_remedy(detail, connection)}"
    return f"{answer.status_code}: {detail}"


def _token_remedy(detail: str, connection: Connection) -> str:
    if detail == "Service unauthenticated":
        return "set API_BEARER_TOKEN where `agent-service up` runs, and restart it"
    if connection.token is None:
        return f"export API_BEARER_TOKEN=…, or type --token, for {connection.url}"
    return f"the token from {connection.origin} is not that of {connection.url}; correct API_BEARER_TOKEN or --token"


def _sentence(detail: object) -> str:
    """Return the detail of an error as one line, also where the service lists the members that are wrong."""
    if not isinstance(detail, list):
        return str(detail)
    wrong = [one for one in detail if isinstance(one, dict)]
    return "; ".join(f"{'.'.join(map(str, one.get('loc', [])[1:]))}: {one.get('msg')}" for one in wrong)
