"""Builds the argument list of the claude CLI."""

from __future__ import annotations

import json
from pathlib import Path

from agent.claude.control_messages import Message
from agent.claude.process_spec import ProcessSpec

_STREAM_JSON = ["-p", "--input-format", "stream-json", "--output-format", "stream-json"]
_STREAM_JSON += ["--verbose", "--include-partial-messages", "--include-hook-events", "--dangerously-skip-permissions"]


def build_argv(cli: Path, spec: ProcessSpec, agent: str | None, session_id: str | None = None) -> list[str]:
    """Return the arguments of a process for `spec`; of the caller's text they have names only.

    Without an `agent` it is a spare, which waits for `claim_session`. With a `session_id` of its config directory
    the CLI resumes that session.
    """
    argv = [str(cli), *_STREAM_JSON, "--max-budget-usd", f"{spec.max_budget_usd:f}"]
    argv += ["--await-claim"] if agent is None else ["--agent", agent]
    if spec.model is not None and agent is not None:
        argv += ["--model", spec.model]
    if spec.effort is not None:
        argv += ["--effort", spec.effort]
    if session_id is not None:
        argv += ["--resume", session_id]
    if spec.max_turns is not None:
        argv += ["--max-turns", str(spec.max_turns)]
    if spec.tools is not None:
        # the list is of built-in tools: without MCP servers there are no others
        argv += ["--tools", ",".join(spec.tools), "--strict-mcp-config"]
    return argv


def without_repository_code(base_url: str | None) -> list[str]:
    """Return flags that keep the CLI from running hooks, MCP servers and key helpers of its checkout.

    Settings on the command line win over a checkout's. Other variables of its `env` are still taken (2.1.330).
    """
    settings: Message = {"disableAllHooks": True, "apiKeyHelper": ""}
    if base_url is not None:
        settings["env"] = {"ANTHROPIC_BASE_URL": base_url}
    return ["--strict-mcp-config", "--settings", json.dumps(settings)]
