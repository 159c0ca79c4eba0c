"""Finds the address of the service and the token for it: options, environment, named contexts, `.env`.

A token goes only to an address of the same origin: a directory's `.env` cannot send the operator's token elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.system.http import http_origin
from cli.errors import TerminalError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", "8080"
_NAMES = ("API_HOST", "API_PORT", "API_BEARER_TOKEN")


@dataclass(frozen=True)
class Connection:
    """An address with its token, and where both were configured."""

    url: str
    token: str | None
    origin: str
    is_from_directory: bool = False
    """True if the address is that of a `.env`, which the operator may not have written."""


@dataclass(frozen=True)
class ConnectionChoice:
    """The options of the command line."""

    url: str | None = None
    token: str | None = None
    context: str | None = None


_choice: ContextVar[ConnectionChoice | None] = ContextVar("connection", default=None)


def choose_connection(url: str | None, token: str | None, context: str | None) -> None:
    """Keep the options of the command line; those of a command win over those before it."""
    before = _choice.get() or ConnectionChoice()
    _choice.set(ConnectionChoice(url or before.url, token or before.token, context or before.context))


def find_connection() -> Connection:
    """Return the connection that this process is to use. Raises TerminalError."""
    found = resolve(_choice.get() or ConnectionChoice(), os.environ, Path.cwd(), contexts_path(os.environ))
    if found.token is None and urlsplit(found.url).hostname in ("127.0.0.1", "localhost", "::1"):
        return replace(found, token=created_token(found, os.environ, Path.cwd()))
    return found


def created_token(found: Connection, environment: Mapping[str, str], directory: Path) -> str | None:
    """Return the token that `up` creates under STATE_DIR where none is set, if there is one that may go there.

    An address from `.env` gets the token of a STATE_DIR from the same file, and no other.
    """
    # read here and not by AgentSettings, whose import takes as long as all else that a short command does
    local = _read_dotenv(directory).get("STATE_DIR")
    state_dir = local if found.is_from_directory else environment.get("STATE_DIR") or local
    if state_dir is None and found.is_from_directory:
        return None
    base = environment.get("XDG_STATE_HOME") or ""
    default = (Path(base) if base.startswith("/") else Path("~/.local/state")) / "claude-agent-service"
    try:
        path = directory / (Path(state_dir) if state_dir else default).expanduser() / "api-token"
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError, RuntimeError):
        return None


def resolve(choice: ConnectionChoice, environment: Mapping[str, str], directory: Path, contexts: Path) -> Connection:
    """Return the first of: options, environment, the current context, `.env` in `directory`, the default address.

    Raises TerminalError for a context that does not exist, and for a token whose address comes from `.env`.
    """
    named = read_contexts(contexts)
    given = _settings(environment)
    if choice.context is not None:
        if choice.url is not None:
            raise TerminalError("--url and --context exclude each other")
        return _from_context(named, choice.context, choice.token)
    if choice.url is not None:
        # the operator typed this address: the token of his own environment may go there
        return Connection(checked_url(choice.url), choice.token or given.get("API_BEARER_TOKEN"), "--url")
    if given:
        return _from_environment(given, choice.token, directory)
    if named["current"] is not None:
        return _from_context(named, named["current"], choice.token)
    local = _settings(_read_dotenv(directory))
    if choice.token is not None and _has_address(local):
        raise TerminalError(_refusal("--token", local, directory))
    token = choice.token or local.get("API_BEARER_TOKEN")
    origin = f"{directory / '.env'}" if local else "the default address"
    return Connection(_url(local), token, origin, is_from_directory=_has_address(local))


def contexts_path(environment: Mapping[str, str]) -> Path:
    """Return the file with the named contexts of this user."""
    configured = environment.get("XDG_CONFIG_HOME") or ""
    base = Path(configured) if configured.startswith("/") else Path.home() / ".config"
    return base / "claude-agent-service" / "contexts.json"


def checked_url(url: str) -> str:
    """Return the URL without a trailing slash. Raises TerminalError if it is not http(s) with a host."""
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_whole = False
    if not is_whole or parts.username or parts.query or parts.fragment:
        raise TerminalError(f"{url!r} is not the address of a service; write it as http://HOST:PORT")
    return url.rstrip("/")


def _from_environment(given: dict[str, str], token: str | None, directory: Path) -> Connection:
    if not _has_address(given):
        local = _settings(_read_dotenv(directory))
        if _has_address(local) and local.get("API_BEARER_TOKEN") == given["API_BEARER_TOKEN"]:
            given = local | given
        elif _has_address(local) and _url(local) != _url({}):
            raise TerminalError(_refusal("API_BEARER_TOKEN of the environment", local, directory))
    return Connection(_url(given), token or given.get("API_BEARER_TOKEN"), "the environment")


def _refusal(what: str, local: dict[str, str], directory: Path) -> str:
    url = _url(local)
    return (
        f"the address {url} comes from {directory / '.env'}, and {what} is not sent there; "
        f"if that is your service, type --url {url}"
    )


def _from_context(named: dict[str, Any], name: str, token: str | None) -> Connection:
    found = named["contexts"].get(name)
    if found is None:
        known = ", ".join(sorted(named["contexts"])) or "none"
        raise TerminalError(f"no context {name!r}; there are: {known}. `agent-service context add` makes one")
    return Connection(found["url"], token or found.get("token"), f"context {name}")


def _settings(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return our three settings, whatever the case of their names; an empty value is as good as none."""
    folded = {name.upper(): value for name, value in values.items()}
    return {name: value for name in _NAMES if (value := folded.get(name))}


def _has_address(values: Mapping[str, str]) -> bool:
    return "API_HOST" in values or "API_PORT" in values


def _url(values: Mapping[str, str]) -> str:
    port = values.get("API_PORT", DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise TerminalError(f"API_PORT: {port!r} is not a port")
    return http_origin(values.get("API_HOST", DEFAULT_HOST), int(port))


def _read_dotenv(directory: Path) -> Mapping[str, str | None]:
    path = directory / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(path)


def read_contexts(path: Path) -> dict[str, Any]:
    """Return the contexts, and the name of the current one. Raises TerminalError for a file that is not ours."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return {"current": read["current"], "contexts": dict(read["contexts"])}
    except FileNotFoundError:
        return {"current": None, "contexts": {}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TerminalError(f"{path} cannot be read ({error}); correct or remove it") from None


def write_contexts(path: Path, contexts: dict[str, Any]) -> None:
    """Write the contexts, readable by this user alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(contexts, indent=2), encoding="utf-8")
    draft.replace(path)
