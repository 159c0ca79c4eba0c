"""HTTP client of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import SecretStr

from agent.settings import AgentSettings
from api.settings import ApiSettings
from deployments.settings import read_environment
from deployments.standalone.api_token import read_kept_token
from deployments.standalone.prefect_environment import http_origin

TIMEOUT_SECONDS = 120.0


@contextmanager
def reach_service(timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[httpx.Client]:
    """A client of the service on this machine, with its token; raises ServiceRefused for whatever it does not do."""
    settings = read_api_settings()
    url = http_origin(settings.api_host, settings.api_port)
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


def read_api_settings() -> ApiSettings:
    """Return the settings of the API; where no token is set, with the one that `up` has created."""
    settings = read_environment(ApiSettings)
    if settings.api_bearer_token is not None and settings.api_bearer_token.get_secret_value():
        return settings
    kept = read_kept_token(read_environment(AgentSettings).state_dir)
    return settings.model_copy(update={"api_bearer_token": SecretStr(kept) if kept else None})


def bearer(settings: ApiSettings) -> dict[str, str]:
    """The headers that open the service; without a token, none."""
    token = settings.api_bearer_token.get_secret_value() if settings.api_bearer_token else ""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refuse(answer: httpx.Response) -> None:
    if answer.is_success:
        return
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
