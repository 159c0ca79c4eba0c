"""The command line of one CLI process, and what is said to it before the prompt.

Flags and control requests as the pinned CLI has them: `claude --help`, and the wire format of `--input-format
stream-json` that the official SDKs speak.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.models import AgentRequest
from agent.mold import Mold

Message = dict[str, Any]

INITIALIZE = "initialize"
INTERRUPT = "interrupt"

_SPEECH = ["-p", "--input-format", "stream-json", "--output-format", "stream-json"]
_SPEECH += ["--verbose", "--include-partial-messages", "--dangerously-skip-permissions"]


def build_argv(cli: Path, mold: Mold, agent: str | None, session_id: str | None = None) -> list[str]:
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


def initialize(request: AgentRequest) -> Message:
    """The first thing said: instructions and the answer's schema, at any length."""
    body: Message = {"subtype": "initialize"}
    if request.instructions:
        body["appendSystemPrompt"] = request.instructions
    if request.json_schema is not None:
        body["jsonSchema"] = request.json_schema
    return {"type": "control_request", "request_id": INITIALIZE, "request": body}


def knows_agent(response: Message, agent: str) -> bool:
    """Whether the CLI, by what it answers to `initialize`, has that agent; an older one does not say."""
    return (known := known_agents(response)) is None or agent in known


def known_agents(response: Message) -> list[str] | None:
    """The agents that the CLI has, by what it answers to `initialize`."""
    known = (response.get("response") or {}).get("agents")
    if not isinstance(known, list):
        return None
    return [str(agent.get("name")) for agent in known if isinstance(agent, dict)]


def context_usage() -> Message:
    """Asks for an account of the context, for which the CLI makes itself ready as for a first call."""
    body = {"subtype": "get_context_usage", "summary": True}
    return {"type": "control_request", "request_id": "context", "request": body}


def claim_session(cwd: Path) -> Message:
    """Leads a spare to a directory; internal to the pinned CLI, which may refuse it."""
    body = {"subtype": "claim_session", "cwd": str(cwd), "permission_mode": "bypassPermissions"}
    return {"type": "control_request", "request_id": "claim", "request": body}


def use_agent(agent: str) -> Message:
    """Makes a claimed spare that agent; one that there is not is refused."""
    body = {"subtype": "apply_flag_settings", "settings": {"agent": agent}}
    return {"type": "control_request", "request_id": "agent", "request": body}


def use_model(model: str) -> Message:
    """Chooses the model, over the one in the agent's own file."""
    return {"type": "control_request", "request_id": "model", "request": {"subtype": "set_model", "model": model}}


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
