"""`python -m api.settings_reference`: writes docs/settings.md and .env.example from the settings classes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from agent.settings import AgentSettings
from api.settings import ApiSettings
from deployments.settings import HostSettings
from store.settings import StoreSettings

ROOT = Path(__file__).parents[1]
PAGE, EXAMPLE = ROOT / "docs" / "settings.md", ROOT / ".env.example"

SECTIONS: dict[str, type[BaseModel]] = {
    "Agents and workspaces": AgentSettings,
    "The API": ApiSettings,
    "The host": HostSettings,
    "The store": StoreSettings,
}

_EXAMPLES = {
    "agent_egress_allow": "api.github.com,*.example.com:8443",
    "agent_env_allow": "GH_TOKEN,KUBECONFIG",
    "agent_read_paths": "/home/agents/.kube",
    "agent_sandbox": "bwrap",
    "api_cors_origins": "https://chat.example.org",
    "database_url": "postgresql://agents:PASSWORD@db/agents",
    "model_prices": '{"my-model": {"input": 3, "output": 15}}',
    "openai_compat_agents": "release-notes,service-upgrade",
    "traces_endpoint": "http://localhost:4318/v1/traces",
    "workspace_dir": "https://github.com/OWNER/REPOSITORY.git",
    "workspaces": '{"site": {"remote": "https://github.com/OWNER/site.git", "ref": "main"}}',
}

_PAGE_HEAD = """# Settings

Written by `make docs` from the code. A setting is an environment variable, or a line in `.env` in the directory where
the service starts; the environment wins. An empty value is the default. A wrong value stops the start with a line that
names it. [`.env.example`](../.env.example) has the same list to copy from. `PREFECT_*` belongs to Prefect:
`PREFECT_API_URL` uses a server of yours, `PREFECT_SERVER_API_PORT` moves the embedded one.
"""

_EXAMPLE_HEAD = """# Every setting, at its default. Copy what you change to `.env`, or set it in the environment.
# Types and examples: docs/settings.md, which `make docs` writes together with this file.
# PREFECT_* belongs to Prefect: PREFECT_API_URL uses a server of yours, PREFECT_SERVER_API_PORT moves the embedded one.
"""


def render_page() -> str:
    """Return docs/settings.md."""
    parts = [_PAGE_HEAD.strip()]
    for title, settings in SECTIONS.items():
        rows = [_row(name, field) for name, field in settings.model_fields.items()]
        parts.append("\n".join([f"## {title}\n", "| setting | type | default | |", "|-|-|-|-|", *rows]))
    return "\n\n".join(parts) + "\n"


def render_example() -> str:
    """Return .env.example."""
    parts = [_EXAMPLE_HEAD.strip()]
    for title, settings in SECTIONS.items():
        parts.append(f"# {title}")
        parts += ["\n".join(_lines(name, field)) for name, field in settings.model_fields.items()]
    return "\n\n".join(parts) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    default = default_text(field)
    example = f" Example: `{_EXAMPLES[name]}`" if name in _EXAMPLES else ""
    words = f"{description(field)}{example}".replace("|", "\\|")
    return f"| `{name.upper()}` | {_type(field)} | {f'`{default}`' if default else 'unset'} | {words} |"


def _lines(name: str, field: FieldInfo) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(description(field), 116, break_on_hyphens=False))
    yield f"# {name.upper()}={default_text(field)}"


def description(field: FieldInfo) -> str:
    """Return the description as a sentence."""
    text = (field.description or "").strip()
    starts_with_value = text.split(":")[0] in ("none", "auto", "json")
    return f"{text if starts_with_value else text[:1].upper() + text[1:]}{'' if text.endswith(('.', '`')) else '.'}"


def default_text(field: FieldInfo) -> str:
    """Return the default as it is written in an environment; empty for none, and for one that the machine decides."""
    match field.default:
        case bool() as value:
            return str(value).lower()
        case list() | tuple() as values:
            return ",".join(map(str, values))
        case str() | int() | float() | Path() as value:
            return str(value)
    return ""


def _type(field: FieldInfo) -> str:
    kind = _kind(field.annotation)
    bounds = {
        word: getattr(one, attribute)
        for one in field.metadata
        for bound, attribute, word in ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))
        if isinstance(one, bound)
    }
    return ", ".join([kind, *(f"{word} {value:g}" for word, value in bounds.items())])


def _kind(annotation: Any) -> str:
    options = [one for one in get_args(annotation) if one is not type(None)]
    if str(get_origin(annotation)) == "typing.Literal":
        return ", ".join(f"`{option}`" for option in options)
    if get_origin(annotation) is list:
        return "list, by commas"
    if get_origin(annotation) is dict:
        return "JSON"
    names = {bool: "boolean", int: "integer", float: "number", SecretStr: "secret", str: "text", Path: "path"}
    if annotation in names:
        return names[annotation]
    return _kind(options[0]) if options else "text"


if __name__ == "__main__":
    PAGE.write_text(render_page())
    EXAMPLE.write_text(render_example())
