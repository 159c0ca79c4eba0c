"""The command line of one CLI process, and what is said to it before the prompt.

Flags and control requests as the pinned CLI has them: `claude --help`, and the wire format of `--input-format
stream-json` that the official SDKs speak.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.domain.request import AgentRequest

Message = dict[str, Any]

INITIALIZE = "initialize"
INTERRUPT = "interrupt"


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
