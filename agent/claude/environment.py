"""The environment of an agent: built from a list, never inherited."""

from __future__ import annotations

from collections.abc import Mapping

ALWAYS = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
"""What an agent gets of the service's environment without being asked: where programs are, and how to read."""

DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


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
