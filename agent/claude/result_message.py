"""Turns the CLI's result message and exit into an AgentResult or the error that fits."""

from __future__ import annotations

import json
from typing import Any

from agent.claude.answer.run_cost import cost_of, usage_of
from agent.claude.stream_json import parse_line
from agent.domain.errors import AgentFailed, AgentOverloaded, AgentTimedOut, EndedBadly
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Invocation
from agent.json_schema.tuples import restore_tuples
from agent.system.text import shorten_cause

STOPPED = {
    "hook_stopped": "a hook stopped the agent",
    "stop_hook_prevented": "a hook stopped the agent",
    "tool_deferred": "a hook put a tool call off, and nobody is there to take it up",
    "background_requested": "the agent was moved to the background, where nobody waits for it",
}
"""Values of `terminal_reason` that are no end of the agent's own, though the CLI does not call them an error."""

OVERLOADED = frozenset({429, 500, 502, 503, 504, 529})
"""Statuses of the provider that may be gone at the next attempt, whatever the request."""

Message = dict[str, Any]

_KILLED = (-9, 137)  # by SIGKILL, seen directly or through a shell


def read_result(request: AgentRequest, invocation: Invocation) -> AgentResult:
    """Return the result of a run that succeeded; raises the EndedBadly that fits otherwise, with the result in it."""
    message = (parse_line(invocation.result_line) if invocation.result_line is not None else None) or {}
    if request.json_schema is not None and "structured_output" in message:
        message, invocation = _with_tuples(message, invocation)
    result = _read(request, message, invocation)
    error = _what_is_wrong(request, message, invocation)
    if error is None:
        return result
    raise _kind(message, invocation)(result.model_copy(update={"error": shorten_cause(error)}))


def raise_if_overloaded(request: AgentRequest, invocation: Invocation) -> None:
    """Raise AgentOverloaded if the run can be tried again; other endings are for `read_result`."""
    try:
        read_result(request, invocation)
    except AgentOverloaded:
        raise
    except EndedBadly:
        return


def _with_tuples(message: Message, invocation: Invocation) -> tuple[Message, Invocation]:
    """Return both with each tuple of the answer as the array that the caller's schema describes."""
    answer = restore_tuples(message["structured_output"])
    if answer == message["structured_output"]:
        return message, invocation
    message = {**message, "structured_output": answer, "result": json.dumps(answer, ensure_ascii=False)}
    return message, invocation.model_copy(update={"result_line": json.dumps(message, ensure_ascii=False)})


def _kind(message: Message, invocation: Invocation) -> type[EndedBadly]:
    if invocation.ending in ("timeout", "stalled"):
        return AgentTimedOut
    is_lasting = invocation.refusal is not None and invocation.refusal.is_lasting
    overloaded = message.get("terminal_reason") == "api_error" and _is_overload(message) and not is_lasting
    return AgentOverloaded if overloaded and not invocation.acted else AgentFailed


def _is_overload(message: Message) -> bool:
    """True if the provider was unreachable or overloaded; a connection that failed has no status."""
    status = message.get("api_error_status")
    return status is None or status in OVERLOADED


def _what_is_wrong(request: AgentRequest, message: Message, invocation: Invocation) -> str | None:
    match invocation.ending:
        case "timeout":
            return f"agent timed out after {request.timeout_seconds} s"
        case "stalled":
            return "agent said nothing for too long and was ended"
        case "cancelled":
            return "agent was cancelled"
        case "disk":
            return "agent took more of the disk than AGENT_DISK_MB lets it, and was ended"
        case "output":
            return "the CLI's output had a line of more than 40 MB, and the agent was ended"
    if not message:
        return _without_result(invocation)
    if message.get("is_error") or message.get("subtype") != "success":
        return _reported(message)
    if invocation.exit_code != 0:
        return invocation.stderr.strip() or _exit_words(invocation.exit_code)
    if (stopped := _stopped(message, invocation)) is not None:
        return stopped
    if request.json_schema is not None and "structured_output" not in message:
        return "the answer does not follow the schema: the model never gave it in the form asked for"
    return invocation.violation


def _stopped(message: Message, invocation: Invocation) -> str | None:
    """Return why the agent was stopped before its own end, None if it was not."""
    reason = message.get("terminal_reason")
    if message.get("stop_reason") == "refusal":
        return f"the model refused: {message.get('result') or 'it gave no reason'}"
    if isinstance(reason, str) and reason in STOPPED:
        return f"{STOPPED[reason]}: {invocation.hook_reason or reason}"
    # a prompt that a hook refuses is never sent to the model, and such a result has no reason
    if reason is None and invocation.hook_reason is not None and not invocation.acted:
        return f"a hook refused the prompt: {invocation.hook_reason}"
    return None


def _without_result(invocation: Invocation) -> str | None:
    # an older CLI, or a wrapper, prints its answer as plain text
    if invocation.exit_code != 0:
        return invocation.stderr.strip() or invocation.printed.strip() or _exit_words(invocation.exit_code)
    return None if invocation.printed.strip() else "the agent printed nothing"


def _exit_words(exit_code: int | None) -> str:
    if exit_code in _KILLED:
        return f"exit {exit_code}: killed, most likely out of memory (AGENT_MEMORY_MB, or the limit of the container)"
    return f"exit {exit_code}"


def _reported(message: Message) -> str:
    errors = message.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(str(error) for error in errors)
    return str(message.get("result") or message.get("subtype") or "the agent reported an error")


def _read(request: AgentRequest, message: Message, invocation: Invocation) -> AgentResult:
    printed = [invocation.printed] if invocation.printed else []
    return AgentResult(
        started_at=invocation.started_at,
        finished_at=invocation.finished_at,
        exit_code=invocation.exit_code,
        output=[f"{invocation.result_line}\n"] if invocation.result_line is not None else printed,
        stderr=invocation.stderr,
        text=_text(message, invocation),
        structured=message.get("structured_output"),
        cost_usd=cost_of(message, invocation, request.max_budget_usd),
        usage=usage_of(message, invocation),
        turns=turns if isinstance(turns := message.get("num_turns"), int) else None,
        session_id=named if isinstance(named := message.get("session_id"), str) else invocation.session_id,
        model=invocation.model,
        ending=invocation.ending,
    )


def _text(message: Message, invocation: Invocation) -> str | None:
    if message:
        text = message.get("result")
        return text if isinstance(text, str) else None
    return invocation.printed.strip() or None
