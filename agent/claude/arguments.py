from __future__ import annotations

import json
from pathlib import Path

from agent.claude.control_messages import Message
from agent.claude.process_spec import ProcessSpec

_SPEECH = ["-p", "--input-format", "stream-json", "--output-format", "stream-json"]
_SPEECH += ["--verbose", "--include-partial-messages", "--dangerously-skip-permissions"]


def build_argv(cli: Path, mold: ProcessSpec, agent: str | None, session_id: str | None = None) -> list[str]:
    """All that has to be known when the process starts; no text of the caller's but names is in it.

    Without an `agent` it is a spare, which waits for `claim_session`. With a `session_id` of its config directory
    the CLI goes on with that session.
    """
    argv = [str(cli), *_SPEECH, "--max-budget-usd", f"{mold.max_budget_usd:f}"]
    argv += ["--await-claim"] if agent is None else ["--agent", agent]
    if mold.model is not None and agent is not None:
        argv += ["--model", mold.model]
    if mold.effort is not None:
        argv += ["--effort", mold.effort]
    if session_id is not None:
        argv += ["--resume", session_id]
    if mold.max_turns is not None:
        argv += ["--max-turns", str(mold.max_turns)]
    return argv


def without_repository_code(base_url: str | None) -> list[str]:
    """Flags with which the CLI runs no hook, MCP server or key helper of its checkout, and calls `base_url` alone.

    Settings on the command line win over a checkout's. What else its `env` names is still taken (2.1.330).
    """
    settings: Message = {"disableAllHooks": True, "apiKeyHelper": ""}
    if base_url is not None:
        settings["env"] = {"ANTHROPIC_BASE_URL": base_url}
    return ["--strict-mcp-config", "--settings", json.dumps(settings)]
