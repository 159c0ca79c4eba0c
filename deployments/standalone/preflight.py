"""Checks of a start that take no time: what no restart mends is refused in one line, before any part is started."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.claude.installation import find_cli
from agent.domain.errors import NotConfigured
from agent.sandbox.probe import probe_sandbox
from agent.settings import AgentSettings
from agent.system.certificates import check_extra_authorities
from agent.system.proxies import BadProxy, proxy_environment
from deployments.standalone.external_prefect import read_api_url
from deployments.standalone.prefect_environment import prefect_home


def check_start(settings: AgentSettings, environ: Mapping[str, str]) -> list[str]:
    """Return what the operator should know about a host with these settings; agents can work all the same.

    Raises NotConfigured for what the host needs.
    """
    _check_proxies(environ)
    if settings.agent_sandbox == "bwrap" or settings.agent_network != "open":
        probe_sandbox("bwrap" if settings.agent_network != "open" else settings.agent_sandbox)
    return [notice for notice in (_cli(settings), _workspace(settings), check_extra_authorities(environ)) if notice]


def check_directories(state_dir: Path) -> None:
    """Create the state directory. Raises NotConfigured if files cannot be written there, or in no temporary one."""
    remedy = f"as root: `install -d -m 700 -o {os.geteuid()} {state_dir}`, or set STATE_DIR to a directory of this user"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state_dir):
            pass
    except OSError as error:
        raise NotConfigured(f"STATE_DIR={state_dir} cannot be written: {error.strerror}", remedy) from None
    try:
        with tempfile.TemporaryFile():
            pass
    except OSError as error:
        problem = f"no temporary file can be written: {error.strerror}"
        raise NotConfigured(problem, "make /tmp writable (`--tmpfs /tmp` in a container), or set TMPDIR") from None


def check_prefect_settings(state_dir: Path, environ: Mapping[str, str], *, is_embedded_used: bool) -> None:
    """Raise NotConfigured for a PREFECT_* that cannot be used: of a server of the operator, or else of the embedded."""
    if read_api_url(environ) is None and is_embedded_used:
        check_embedded_prefect(state_dir, environ)


def check_embedded_prefect(state_dir: Path, environ: Mapping[str, str]) -> None:
    """Raise NotConfigured for a PREFECT_* of the operator that the embedded server cannot obey."""
    home = environ.get("PREFECT_HOME")
    if home and Path(home).expanduser().absolute() != prefect_home(state_dir):
        problem = f"PREFECT_HOME={home}: the embedded server keeps its files in {prefect_home(state_dir)}"
        raise NotConfigured(problem, "unset PREFECT_HOME, or set STATE_DIR")
    for name in ("PREFECT_SERVER_API_BASE_PATH", "PREFECT_API_KEY"):
        if environ.get(name):
            needs = "is for a Prefect server of yours, and the embedded one has no such setting"
            raise NotConfigured(f"{name} {needs}", f"unset {name}, or set PREFECT_API_URL to that server")
    ours, theirs = environ.get("PREFECT_API_AUTH_STRING"), environ.get("PREFECT_SERVER_API_AUTH_STRING")
    if ours and theirs and ours != theirs:
        problem = "PREFECT_API_AUTH_STRING and PREFECT_SERVER_API_AUTH_STRING differ: both are the embedded server's"
        raise NotConfigured(problem, "unset one of them")
    prefect_port(environ)


def prefect_port(environ: Mapping[str, str]) -> int:
    """Return the embedded server's port. Raises NotConfigured."""
    named = environ.get("PREFECT_SERVER_API_PORT") or "4200"
    if not named.strip().isdecimal() or int(named) > 65_535:
        raise NotConfigured(f"PREFECT_SERVER_API_PORT={named} is no port", "set it to a number up to 65535")
    return int(named)


def _check_proxies(environ: Mapping[str, str]) -> None:
    try:
        proxy_environment(environ)
    except BadProxy as error:
        raise NotConfigured(str(error), "correct it, e.g. http://proxy.example.com:3128") from None


def _cli(settings: AgentSettings) -> str | None:
    try:
        find_cli(settings)
    except NotConfigured as error:
        return str(error)
    return None


def _workspace(settings: AgentSettings) -> str | None:
    source = settings.workspace_dir
    if source is None or not source.startswith("/") or Path(source).is_dir():
        return None
    return f"WORKSPACE_DIR={source}: there is no such directory, and runs fail; clone it there, or set a URL"
