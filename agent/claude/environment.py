"""Builds the environment of the CLI from a fixed list; nothing is inherited."""

from __future__ import annotations

from collections.abc import Mapping

ALWAYS = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
"""Variables of the service that every agent gets: where programs are, language, time zone, certificates."""

DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def build_environment(
    inherited: Mapping[str, str], allow: list[str], access: Mapping[str, str], model_retries: int
) -> dict[str, str]:
    """Return a run's environment without home and temporary files, which its sandbox decides.

    `access` has the variables by which the CLI reaches the model.
    """
    environment = DEFAULTS | {name: inherited[name] for name in (*ALWAYS, *allow) if name in inherited}
    return environment | {
        **access,
        "CLAUDE_CODE_MAX_RETRIES": str(model_retries),
        # without it the CLI looks for updates and reports to its maker
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # after stdin is closed the CLI would end helpers after ten minutes; the run's own limits hold instead
        "CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS": "0",
        # the machine's config is for its people; the agent's home has what of it concerns remotes
        "GIT_CONFIG_NOSYSTEM": "1",
        # without it the CLI refuses to run with all permissions as root
        "IS_SANDBOX": "1",
    }
