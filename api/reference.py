"""`python -m api.reference`: writes docs/http-api.md from the OpenAPI document."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient

from agent.settings import AgentSettings
from api.app import create_app
from api.settings import ApiSettings
from deployments.host.host import Host
from deployments.settings import HostSettings
from store.settings import default_database_url
from store.store import open_store

PAGE = Path(__file__).parents[1] / "docs" / "http-api.md"

_HEAD = """# HTTP API

Written by `make docs` from the service's OpenAPI document. The service serves the document at `/openapi.json` and a
page to try the routes at `/docs`. A route needs `Authorization: Bearer TOKEN` with `API_BEARER_TOKEN`, unless it is
marked as open. [jobs.md](jobs.md), [openai.md](openai.md) and [triage.md](triage.md) explain how to use them.
"""

Document = dict[str, Any]


def render_reference(document: Document) -> str:
    """Return the page: each route with its parameters and its responses, in the order of the document."""
    routes = [
        _route(document, method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return "\n\n".join([_HEAD.strip(), *routes]) + "\n"


def _route(document: Document, method: str, path: str, operation: Document) -> str:
    text = " ".join(operation.get("description", "").split())
    opened = "" if "security" in operation else " *Open: no token.*"
    parts = [f"## `{method} {path}`", f"{text}{opened}".strip()]
    if rows := [_parameter(document, one) for one in operation.get("parameters", [])]:
        parts.append(_table("parameter", rows))
    content = operation.get("requestBody", {}).get("content", {})
    if schema := content.get("application/json", {}).get("schema"):
        parts.append(_members(document, schema))
    answers = sorted(operation["responses"].items())
    parts.append("\n".join(f"- `{status}`: {_answer(document, answer)}" for status, answer in answers))
    return "\n\n".join(part for part in parts if part)


def _parameter(document: Document, one: Document) -> list[str]:
    what = one.get("description") or one["schema"].get("description", "")
    return [f"`{one['name']}` ({one['in']})", _kind(document, one["schema"]), _default(one["schema"]), what]


def _members(document: Document, schema: Document) -> str:
    whole = _resolved(document, schema)
    rows = []
    for name, member in whole.get("properties", {}).items():
        needed = "required" if name in whole.get("required", []) else _default(member)
        rows.append([f"`{name}`", _kind(document, member), needed, member.get("description", "")])
    return _table("member", rows) if rows else ""


def _answer(document: Document, answer: Document) -> str:
    """Return the members of a response body, or its description."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    members = [f"`{name}`" for name in _resolved(document, schema).get("properties", {})]
    text = "" if answer["description"] == "Successful Response" else answer["description"]
    if members and set(members) != {"`detail`"} and "error" not in _resolved(document, schema)["properties"]:
        text = f"{text} {', '.join(members)}".strip()
    kinds = " or ".join(f"`{kind}`" for kind in answer.get("content", {}) if kind != "application/json")
    return " ".join(part for part in (text, f"({kinds})" if kinds else "") if part) or "JSON"


def _table(first: str, rows: list[list[str]]) -> str:
    lines = [[first, "type", "default", ""], ["-", "-", "-", "-"], *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _resolved(document: Document, schema: Document) -> Document:
    if "$ref" in schema:
        found: Document = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    return schema


def _kind(document: Document, schema: Document) -> str:
    """Return the type of a value in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(document, one) for one in schema["anyOf"]))
    schema = _resolved(document, schema)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _default(schema: Document) -> str:
    value = schema.get("default")
    return "" if value in (None, [], "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def describe_app() -> Document:
    """Return the OpenAPI document of a service with default settings."""
    with tempfile.TemporaryDirectory() as scratch:
        return asyncio.run(_describe(AgentSettings(state_dir=Path(scratch))))


async def _describe(settings: AgentSettings) -> Document:
    async with open_store(default_database_url(settings.state_dir)) as store:
        prefect = PrefectClient("http://127.0.0.1:1/api")  # never called
        return create_app(Host(settings, HostSettings(), store, prefect), ApiSettings()).openapi()


if __name__ == "__main__":
    PAGE.write_text(render_reference(describe_app()))
