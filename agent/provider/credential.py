"""Finds the credential for the model provider."""

from __future__ import annotations

from agent.domain.errors import NotConfigured
from agent.domain.values import Frozen
from agent.settings import AgentSettings


class Credential(Frozen):
    """The credential for the provider, of one proxy; the CLI has a lease token instead."""

    variable: str
    value: str
    base_url: str | None


def find_credential(settings: AgentSettings) -> tuple[str, str]:
    """Return the variable and the value that the CLI authenticates with; raises NotConfigured when none is set."""
    if settings.anthropic_api_key is not None and settings.anthropic_api_key.get_secret_value():
        return "ANTHROPIC_API_KEY", settings.anthropic_api_key.get_secret_value()
    if settings.claude_code_oauth_token is not None and settings.claude_code_oauth_token.get_secret_value():
        return "CLAUDE_CODE_OAUTH_TOKEN", settings.claude_code_oauth_token.get_secret_value()
    raise NotConfigured(
        "no credential for the model: set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN and start again "
        "(`make demo` shows the service without one)"
    )
