"""Finds the CLI on this machine, and asks it for the models that it offers."""

from __future__ import annotations

import json
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from agent.domain.errors import NotConfigured
from agent.settings import AgentSettings
from agent.system.commands import Command, TimeLimit

LIST_SECONDS = 60.0
"""A start takes half a second, and the first one after a restart of the machine many times that."""

_DEFAULT = "default"
"""The CLI's word for no model at all; our default is a setting."""

_ARGV = ("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
_REQUEST = {"type": "control_request", "request_id": "models", "request": {"subtype": "list_models"}}


def find_cli(settings: AgentSettings) -> Path:
    """Return the CLI's path; raises NotConfigured if it is missing or not executable."""
    path = settings.claude_cli or _bundled()
    if path is None or not path.is_file():
        raise NotConfigured(
            f"no claude CLI at {path}", "install claude-agent-sdk, or set CLAUDE_CLI to the binary's path"
        )
    if not os.access(path, os.X_OK):
        raise NotConfigured(f"{path} is not executable", f"run `chmod +x {path}`, or set CLAUDE_CLI to another one")
    return path


def _bundled() -> Path | None:
    # to import the package takes 1.6 s
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "_bundled" / "claude"


async def list_models(settings: AgentSettings) -> list[str]:
    """Return the aliases and the ids of the CLI's models. Raises CommandFailed; a CLI that lists none gives none."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": home,
            "IS_SANDBOX": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        argv = [str(find_cli(settings)), *_ARGV]
        command = Command(argv, environment, Path(home), TimeLimit(LIST_SECONDS))
        printed = await command.run(json.dumps(_REQUEST).encode() + b"\n")
    return read_models(printed)


def read_models(printed: bytes) -> list[str]:
    """Return the models in what the CLI printed, sorted."""
    names: set[object] = set()
    for line in printed.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        match message:
            case {"type": "control_response", "response": {"response": {"models": list(models)}}}:
                names |= {one.get(key) for one in models if isinstance(one, dict) for key in ("value", "resolvedModel")}
    return sorted(name for name in names if isinstance(name, str) and name and name != _DEFAULT)
