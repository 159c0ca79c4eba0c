"""The command line of one CLI process, and what is said to it before the prompt.

Flags and control requests as the pinned CLI has them: `claude --help`, and the wire format of `--input-format
stream-json` that the official SDKs speak.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.models import AgentRequest

Message = dict[str, Any]

INITIALIZE = "initialize"
INTERRUPT = "interrupt"


def build_argv(cli: Path, request: AgentRequest, agent: str, session_id: str | None = None) -> list[str]:
    """All that has to be known when the process starts; no text of the caller's but names is in it.

    With a `session_id` of its config directory the CLI goes on with that session.
    """
    argv = [str(cli), "-p", "--input-format", "stream-json", "--output-format", "stream-json"]
    argv += ["--verbose", "--include-partial-messages", "--dangerously-skip-permissions"]
    argv += ["--max-budget-usd", f"{request.max_budget_usd:f}", "--agent", agent]
    if request.model is not None:
        argv += ["--model", request.model]
    if request.effort is not None:
        argv += ["--effort", request.effort]
    if session_id is not None:
        argv += ["--resume", session_id]
    if request.max_turns is not None:
        argv += ["--max-turns", str(request.max_turns)]
    return argv


def without_repository_code(base_url: str | None) -> list[str]:
    """Flags with which the CLI runs no hook, MCP server or key helper of its checkout, and calls `base_url` alone.

    Settings on the command line win over a checkout's. What else its `env` names is still taken (2.1.330).
    """
    settings: Message = {"disableAllHooks": True, "apiKeyHelper": ""}
    if base_url is not None:
        settings["env"] = {"ANTHROPIC_BASE_URL": base_url}
    return ["--strict-mcp-config", "--settings", json.dumps(settings)]


def initialize(request: AgentRequest) -> Message:
    """The first thing said: instructions and the answer's schema, at any length."""
    body: Message = {"subtype": "initialize"}
    if request.instructions:
        body["appendSystemPrompt"] = request.instructions
    if request.json_schema is not None:
        body["jsonSchema"] = request.json_schema
    return {"type": "control_request", "request_id": INITIALIZE, "request": body}


def interrupt() -> Message:
    """Asks the CLI to stop where it is and give its result."""
    return {"type": "control_request", "request_id": INTERRUPT, "request": {"subtype": "interrupt"}}


def user_message(content: str | list[Message]) -> Message:
    """The prompt; `client_composed` keeps `@file` and `/command` in it plain text."""
    return {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "client_composed": True,
    }
