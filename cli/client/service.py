"""The running service, as the terminal reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from api.settings import ApiSettings
from deployments.settings import read_environment
from deployments.standalone.prefect_environment import http_origin

TIMEOUT_SECONDS = 120.0


class ServiceRefused(Exception):
    """The service is not there, or says no; the message is for the operator.

    `status_code` is what it answered with, None if nothing answered.
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


@contextmanager
def reach_service(timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[httpx.Client]:
    """A client of the service on this machine, with its token; raises ServiceRefused for whatever it does not do."""
    settings = read_environment(ApiSettings)
    url = http_origin(settings.api_host, settings.api_port)
    try:
        with httpx.Client(
            base_url=url,
            headers=bearer(settings),
            timeout=timeout_seconds,
            event_hooks={"response": [_refuse]},
            trust_env=False,  # a proxy is for the world outside
        ) as service:
            yield service
    except httpx.TransportError as error:
        raise ServiceRefused(f"no service at {url} ({error}); start it with `agent-service up`") from None


def bearer(settings: ApiSettings) -> dict[str, str]:
    """The headers that open the service; without a token, none."""
    token = settings.api_bearer_token.get_secret_value() if settings.api_bearer_token else ""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refuse(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text
    raise ServiceRefused(f"{answer.status_code}: {_sentence(detail)}", answer.status_code)


def _sentence(detail: object) -> str:
    """What is wrong with a request, where the service lists it member by member."""
    if not isinstance(detail, list):
        return str(detail)
    wrong = [one for one in detail if isinstance(one, dict)]
    return "; ".join(f"{'.'.join(map(str, one.get('loc', [])[1:]))}: {one.get('msg')}" for one in wrong)
