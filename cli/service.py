"""The running service, as the terminal reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from api.settings import ApiSettings
from deployments.settings import read_environment

TIMEOUT_SECONDS = 120.0


class ServiceRefused(Exception):
    """The service is not there, or says no; the message is for the operator."""


@contextmanager
def reach_service() -> Iterator[httpx.Client]:
    """A client of the service on this machine, with its token; raises ServiceRefused for whatever it does not do."""
    settings = read_environment(ApiSettings)
    token = settings.api_bearer_token.get_secret_value() if settings.api_bearer_token else ""
    url = f"http://{settings.api_host}:{settings.api_port}"
    headers = {"Authorization": f"Bearer {token}"}
    hooks = {"response": [_refuse]}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, event_hooks=hooks) as service:
            yield service
    except httpx.TransportError as error:
        raise ServiceRefused(f"no service at {url} ({error}); start it with `agent-service up`") from None


def _refuse(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text
    raise ServiceRefused(f"{answer.status_code}: {detail}")
