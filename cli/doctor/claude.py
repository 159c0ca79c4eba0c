"""Check: the claude CLI and its version."""

from __future__ import annotations

import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

from agent.claude.installation import find_cli
from agent.domain.errors import NotConfigured
from agent.provider.credential import find_credential
from agent.redaction.redactor import mask_url_credentials
from agent.system.commands import Command, CommandFailed, TimeLimit
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, warning

VERSION = re.compile(r"^(\d+\.\d+\.\d+)\b")
START_SECONDS = 10.0
REINSTALL = "unset CLAUDE_CLI, or reinstall: pip install --force-reinstall claude-agent-sdk"


async def check_cli(world: DoctorContext) -> list[Finding]:
    """It starts, and says the pinned version."""
    try:
        path = find_cli(world.agent)
    except NotConfigured as error:
        return [broken("claude", error.problem, error.remedy)]
    version, said = await _ask_version(path)
    pinned = pinned_version()
    if version is None:
        return [broken("claude", f"{path} does not tell its version: {said}", REINSTALL)]
    if version != pinned:
        return [warning("claude", f"{path} is {version}; this service is made and tested with {pinned}", REINSTALL)]
    return [ok("claude", f"{version}, the pinned one")]


async def check_credential(world: DoctorContext) -> list[Finding]:
    """There is one for the model, named by its kind alone."""
    try:
        variable, value = find_credential(world.agent)
    except NotConfigured:
        mend = "export ANTHROPIC_API_KEY=…   (or CLAUDE_CODE_OAUTH_TOKEN=…, from `claude setup-token`)"
        return [broken("credential", "none is set for the model", mend)]
    if value != value.strip() or any(character.isspace() for character in value):
        return [broken("credential", f"{variable} has white space in it", f"export {variable}=…   (without it)")]
    where = (
        mask_url_credentials(world.agent.anthropic_base_url)
        if world.agent.anthropic_base_url
        else "the provider's own address"
    )
    both = world.agent.anthropic_api_key is not None and world.agent.claude_code_oauth_token is not None
    more = ", which wins over CLAUDE_CODE_OAUTH_TOKEN" if both else ""
    return [ok("credential", f"{variable}{more}, for {where}")]


def pinned_version() -> str:
    """The version of the CLI in the pinned wheel, read without importing the wheel."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return "unknown"
    found = re.search(r'__cli_version__ = "(.+?)"', (Path(spec.origin).parent / "_cli_version.py").read_text())
    return found[1] if found else "unknown"


async def _ask_version(path: Path) -> tuple[str | None, str]:
    """The version, or None and what came instead."""
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
    return (found[1], said) if found else (None, said[:100] or "it says nothing")
