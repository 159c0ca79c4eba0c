"""Checks of the claude CLI, which must start and be the pinned version, and of the model's credential."""

from __future__ import annotations

import asyncio
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

from agent.claude.installation import find_cli
from agent.domain.errors import NotConfigured
from agent.provider.credential import find_credential
from agent.provider.credential_check import check_credential as ask_provider
from agent.system.commands import Command, CommandFailed, TimeLimit
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, warning

VERSION = re.compile(r"^(\d+\.\d+\.\d+)\b")
START_SECONDS = 10.0
REINSTALL = "unset CLAUDE_CLI, or reinstall: pip install --force-reinstall claude-agent-sdk"


async def check_cli(world: DoctorContext) -> list[Finding]:
    """Check that the CLI starts and prints the pinned version."""
    try:
        path = find_cli(world.agent)
    except NotConfigured as error:
        return [broken("claude", error.problem, error.remedy)]
    version, said = await _ask_version(path)
    pinned = pinned_version()
    if version is None:
        return [broken("claude", f"{path} --version failed: {said}", REINSTALL)]
    if version != pinned:
        return [warning("claude", f"{path} is {version}; this service is made and tested with {pinned}", REINSTALL)]
    return [ok("claude", f"{version}, the pinned one")]


async def check_credential(world: DoctorContext) -> list[Finding]:
    """Check that there is a credential for the model, and that the provider accepts it; names only its kind."""
    try:
        find_credential(world.agent)
    except NotConfigured:
        mend = "export ANTHROPIC_API_KEY=…   (or CLAUDE_CODE_OAUTH_TOKEN=…, from `claude setup-token`)"
        return [broken("credential", "none is set for the model", mend)]
    try:
        asked = await asyncio.to_thread(ask_provider, world.agent, world.environ)
    except NotConfigured as error:
        return [broken("credential", error.problem, error.remedy)]
    both = world.agent.anthropic_api_key is not None and world.agent.claude_code_oauth_token is not None
    shown = f"{asked.variable}{', which wins over CLAUDE_CODE_OAUTH_TOKEN' if both else ''}"
    match asked.verdict:
        case "refused":
            return [broken("credential", f"{asked.address} refuses {shown} ({asked.detail})", "set a valid one")]
        case "unreachable" if world.agent.anthropic_base_url is not None:
            text = f"{shown}, for {asked.address}, which is out of reach: {asked.detail}"
            return [warning("credential", text, "start it, or correct ANTHROPIC_BASE_URL or the proxy")]
        case "accepted":
            return [ok("credential", f"{shown}: {asked.address} accepts it")]
    return [ok("credential", f"{shown}, for {asked.address}; not verified: {asked.detail}")]


def pinned_version() -> str:
    """Return the version of the CLI in the pinned wheel; does not import the wheel."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return "unknown"
    found = re.search(r'__cli_version__ = "(.+?)"', (Path(spec.origin).parent / "_cli_version.py").read_text())
    return found[1] if found else "unknown"


async def _ask_version(path: Path) -> tuple[str | None, str]:
    """Return the version, or None, and what the CLI printed."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": home,
            "CLAUDE_CONFIG_DIR": home,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        program = Command([str(path), "--version"], environment, Path(home), TimeLimit(START_SECONDS))
        try:
            said = (await program.run(limit=1000)).decode(errors="replace").strip()
        except CommandFailed as failure:
            return None, failure.stderr.strip()[:200] or str(failure)
        except OSError as error:
            return None, error.strerror or str(error)
    found = VERSION.match(said)
    return (found[1], said) if found else (None, said[:100] or "it printed nothing")
