"""Asks the provider if it accepts the credential, by a call that costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import httpx

from agent.domain.errors import NotConfigured
from agent.domain.values import Frozen
from agent.provider.credential import find_credential
from agent.provider.proxy import PROVIDER_URL
from agent.redaction.redactor import mask_url_credentials
from agent.settings import AgentSettings
from agent.system.certificates import trusted_authorities
from agent.system.proxies import BadProxy, proxy_for
from agent.system.text import shorten

_TIMEOUT_SECONDS = 5.0


class CredentialCheck(Frozen):
    """The provider's answer; `detail` says why, without the credential."""

    verdict: Literal["accepted", "refused", "unreachable", "unknown"]
    variable: str
    address: str
    detail: str = ""

    @property
    def problem(self) -> str | None:
        """What an operator has to mend; None if nothing is known to be wrong."""
        if self.verdict != "refused":
            return None
        return f"{self.address} refuses {self.variable} ({self.detail}): every run fails; set a valid one, restart"


def check_credential(settings: AgentSettings, environ: Mapping[str, str]) -> CredentialCheck:
    """List one model with the credential; blocks for some seconds. Raises NotConfigured if there is none."""
    variable, value = find_credential(settings)
    base = (settings.anthropic_base_url or PROVIDER_URL).rstrip("/")
    try:
        proxy = proxy_for(base, environ)
    except BadProxy as error:
        raise NotConfigured(str(error), "correct it") from None
    address = mask_url_credentials(base)
    verify = trusted_authorities(environ) if base.startswith("https:") else False
    try:
        with httpx.Client(proxy=proxy, verify=verify, trust_env=False, timeout=_TIMEOUT_SECONDS) as client:
            answer = client.get(f"{base}/v1/models", params={"limit": 1}, headers=_headers(variable, value))
    except (httpx.HTTPError, OSError) as error:
        detail = shorten(str(error) or type(error).__name__, 200).replace(value, "[redacted]")
        return CredentialCheck(verdict="unreachable", variable=variable, address=address, detail=detail)
    verdict, detail = _verdict(answer)
    return CredentialCheck(
        verdict=verdict, variable=variable, address=address, detail=detail.replace(value, "[redacted]")
    )


def _headers(variable: str, value: str) -> dict[str, str]:
    version = {"anthropic-version": "2023-06-01"}
    if variable == "ANTHROPIC_API_KEY":
        return version | {"x-api-key": value}
    return version | {"authorization": f"Bearer {value}", "anthropic-beta": "oauth-2025-04-20"}


def _verdict(answer: httpx.Response) -> tuple[Literal["accepted", "refused", "unknown"], str]:
    if answer.is_success:
        return "accepted", ""
    try:
        error = answer.json()["error"]
        kind, message = str(error["type"]), shorten(" ".join(str(error["message"]).split()), 200)
    except (ValueError, KeyError, TypeError):
        kind, message = "", ""
    # a gateway need not know this route, nor each kind of credential on it
    if answer.status_code == 401 and kind == "authentication_error" and "not supported" not in message:
        return "refused", f"401: {message}"
    return "unknown", f"it answered {answer.status_code}"
