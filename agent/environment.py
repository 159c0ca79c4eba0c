"""The environment of an agent: built from a list, never inherited."""

from __future__ import annotations

from collections.abc import Mapping

from agent.models import Frozen

ALWAYS = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
"""What an agent gets of the service's environment without being asked: where programs are, and how to read."""

DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


class Credential(Frozen):
    """What the CLI shows at the model's door: never the provider's own key when a proxy stands between."""

    variable: str
    value: str
    base_url: str | None


def build_environment(
    inherited: Mapping[str, str], allow: list[str], credential: Credential, model_retries: int
) -> dict[str, str]:
    """All of a run's environment but what its place decides: where home and temporary files are."""
    environment = DEFAULTS | {name: inherited[name] for name in (*ALWAYS, *allow) if name in inherited}
    environment |= {
        credential.variable: credential.value,
        "CLAUDE_CODE_MAX_RETRIES": str(model_retries),
        # Without it the CLI looks for updates and reports to its maker.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # Without it the CLI refuses to run with all permissions as root.
        "IS_SANDBOX": "1",
    }
    if credential.base_url is not None:
        environment["ANTHROPIC_BASE_URL"] = credential.base_url
    return environment
