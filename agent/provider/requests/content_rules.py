"""The content of a model call: which tools, blocks and sources it may have, so that all of it is sent inline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.provider.requests.refused_call import RefusedCall

BLOCKS = frozenset(
    (
        *("advisor_redacted_result", "advisor_result", "advisor_tool_result", "advisor_tool_result_error"),
        *("compaction", "connector_text", "document", "fallback", "image", "redacted_thinking"),
        *("search_result", "server_tool_use", "text", "thinking", "tool_addition", "tool_reference"),
        *("tool_removal", "tool_result", "tool_search_tool_result", "tool_search_tool_result_error"),
        *("tool_search_tool_search_result", "tool_use", "web_fetch_result", "web_fetch_tool_result"),
        *("web_fetch_tool_result_error", "web_search_result"),
        *("web_search_tool_result", "web_search_tool_result_error"),
    )
)
"""Blocks that the pinned CLI sends. Not here: `container_upload`, and what code execution or an MCP server left."""

SOURCES: Mapping[str, frozenset[str]] = {
    "base64": frozenset({"type", "media_type", "data"}),
    "text": frozenset({"type", "media_type", "data"}),
    "content": frozenset({"type", "content"}),
}
"""Sources that carry their content. Not here: `url`, which the provider would fetch, and `file`, of the account."""

STORED = frozenset({"file_id", "file_ids", "files", "container", "container_id", "mcp_servers", "mcp_server_name"})
"""Names of things that the provider keeps or calls; nowhere outside of what a tool was given."""

FREE = frozenset({"input", "input_schema", "input_examples", "schema", "format", "classifier_context"})
"""Members whose content is the caller's own: data, and no instruction to the provider."""

DEEPEST = 30

CheckTool = Callable[[Mapping[str, Any]], None]


def refuse_content(body: Mapping[str, Any], check_tool: CheckTool) -> None:
    """Raise RefusedCall for a tool, a block or a source of the request that is not listed."""
    for tool in _list(body.get("tools"), "tools"):
        _check_tool(tool, check_tool)
    _check_blocks(body.get("system"), check_tool, 0)
    for message in _list(body.get("messages"), "messages"):
        if not isinstance(message, dict):
            raise RefusedCall("a message is no object")
        _check_blocks(message.get("content"), check_tool, 0)
    for name, value in body.items():
        if name not in ("tools", "system", "messages"):
            _refuse_stored(name, value, 0)


def _check_tool(tool: Any, check_tool: CheckTool) -> None:
    if not isinstance(tool, dict):
        raise RefusedCall("a tool is no object")
    check_tool(tool)
    for name, value in tool.items():
        _refuse_stored(name, value, 0)


def _check_blocks(content: Any, check_tool: CheckTool, depth: int) -> None:
    if content is None or isinstance(content, str):
        return
    if depth > DEEPEST:
        raise RefusedCall("the content of a message is nested too deep")
    for block in content if isinstance(content, list) else [content]:
        if not isinstance(block, dict):
            raise RefusedCall("a content block is no object")
        _check_block(block, check_tool, depth)


def _check_block(block: Mapping[str, Any], check_tool: CheckTool, depth: int) -> None:
    kind = block.get("type")
    if kind not in BLOCKS:
        raise RefusedCall(f"content of type {str(kind)[:60]} is not for agents")
    for name, value in block.items():
        if name == "source" and isinstance(value, dict):
            _check_source(value, check_tool, depth)
        elif name in ("content", "tool_references") and isinstance(value, list | dict):
            _check_blocks(value, check_tool, depth + 1)
        elif name == "tools":
            for tool in _list(value, "tools"):
                _check_tool(tool, check_tool)
        elif name == "tool" and isinstance(value, dict):
            _check_tool(definition if isinstance(definition := value.get("definition"), dict) else {}, check_tool)
        else:
            _refuse_stored(name, value, 0)


def _check_source(source: Mapping[str, Any], check_tool: CheckTool, depth: int) -> None:
    kind = source.get("type")
    members = SOURCES.get(kind) if isinstance(kind, str) else None
    if members is None:
        raise RefusedCall(f"content given by {str(kind)[:60]} is not for agents: send it inline, as base64")
    for name in source:
        if name not in members:
            raise RefusedCall(f"an inline source has no member {name[:60]}")
    _check_blocks(source.get("content"), check_tool, depth + 1)


def _refuse_stored(name: str, value: Any, depth: int) -> None:
    if name in STORED and value is not None:
        raise RefusedCall(f"{name} names something outside of the request: it is not for agents")
    if name in FREE:
        return
    if depth > DEEPEST:
        raise RefusedCall("the request is nested too deep")
    if isinstance(value, dict):
        for inner, content in value.items():
            _refuse_stored(inner, content, depth + 1)
    elif isinstance(value, list):
        for content in value:
            _refuse_stored("", content, depth + 1)


def _list(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise RefusedCall(f"{what} is no list")
    return value
