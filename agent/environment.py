"""The environment of an agent: built from a list, never inherited."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.models import Frozen
from agent.settings import AgentSettings

ALWAYS = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
"""What an agent gets of the service's environment without being asked: where programs are, and how to read."""

DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


_TELLING = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|AUTH_STRING|DATABASE_URL|CREDENTIAL")
_SHORTEST = 8


class Credential(Frozen):
    """What the CLI shows at the model's door: never the provider's own key when a proxy stands between."""

    variable: str
    value: str
    base_url: str | None


def build_environment(
    inherited: Mapping[str, str], allow: list[str], access: Mapping[str, str], model_retries: int
) -> dict[str, str]:
    """All of a run's environment but what its place decides: where home and temporary files are.

    `access` is what the CLI reaches the model by.
    """
    environment = DEFAULTS | {name: inherited[name] for name in (*ALWAYS, *allow) if name in inherited}
    return environment | {
        **access,
        "CLAUDE_CODE_MAX_RETRIES": str(model_retries),
        # Without it the CLI looks for updates and reports to its maker.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # Without it the CLI refuses to run with all permissions as root.
        "IS_SANDBOX": "1",
    }


def known_secrets(settings: AgentSettings, inherited: Mapping[str, str]) -> list[str]:
    """The values that nothing an agent says may contain: credentials, and variables whose names say so."""
    keys = [settings.anthropic_api_key, settings.claude_code_oauth_token]
    values = [key.get_secret_value() for key in keys if key is not None]
    values += [value for name, value in inherited.items() if _TELLING.search(name)]
    return [value for value in values if len(value) >= _SHORTEST]
