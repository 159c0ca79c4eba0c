"""Control messages of the CLI's stream-json protocol.

The wire format of `--input-format stream-json`, as the official SDKs write it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.domain.request import AgentRequest
from agent.json_schema.translation import translate_schema

Message = dict[str, Any]

INITIALIZE = "initialize"
INTERRUPT = "interrupt"


def initialize(request: AgentRequest) -> Message:
    """Build the first message: instructions and the answer's schema, of any length."""
    body: Message = {"subtype": "initialize"}
    if request.instructions:
        body["appendSystemPrompt"] = request.instructions
    if request.json_schema is not None:
        body["jsonSchema"] = translate_schema(request.json_schema)
    return {"type": "control_request", "request_id": INITIALIZE, "request": body}


def knows_agent(response: Message, agent: str) -> bool:
    """True if the response to `initialize` lists that agent, or lists none, as older CLIs do."""
    return (known := known_agents(response)) is None or agent in known


def known_agents(response: Message) -> list[str] | None:
    """Return the agents that the response to `initialize` lists; None if it lists none."""
    known = (response.get("response") or {}).get("agents")
    if not isinstance(known, list):
        return None
    return [str(agent.get("name")) for agent in known if isinstance(agent, dict)]


def context_usage() -> Message:
    """Build a request for an account of the context; to answer it the CLI loads all that a first call needs."""
    body = {"subtype": "get_context_usage", "summary": True}
    return {"type": "control_request", "request_id": "context", "request": body}


def claim_session(cwd: Path) -> Message:
    """Build the request that moves a spare to a directory; internal to the pinned CLI, which may refuse it."""
    body = {"subtype": "claim_session", "cwd": str(cwd), "permission_mode": "bypassPermissions"}
    return {"type": "control_request", "request_id": "claim", "request": body}


def use_agent(agent: str) -> Message:
    """Build the request that makes a claimed spare that agent; the CLI refuses an unknown one."""
    body = {"subtype": "apply_flag_settings", "settings": {"agent": agent}}
    return {"type": "control_request", "request_id": "agent", "request": body}


def use_model(model: str) -> Message:
    """Build the request that sets the model; it wins over the one in the agent's own file."""
    return {"type": "control_request", "request_id": "model", "request": {"subtype": "set_model", "model": model}}


def interrupt() -> Message:
    """Build the request to stop the turn and print its result."""
    return {"type": "control_request", "request_id": INTERRUPT, "request": {"subtype": "interrupt"}}


def stop_task(task: str) -> Message:
    """Build the request to end a background task; the CLI does not wake the model for it."""
    body = {"subtype": "stop_task", "task_id": task}
    return {"type": "control_request", "request_id": f"stop-{task}", "request": body}


def user_message(content: str | list[Message]) -> Message:
    """Build the prompt's message; `client_composed` keeps `@file` and `/command` in it plain text."""
    return {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "client_composed": True,
    }
