"""Prefect's server application, adapted for embedding."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import prefect
from cachetools import TTLCache
from fastapi import FastAPI
from prefect.server.api import collections
from prefect.server.api.server import create_app
from prefect.server.database.dependencies import set_database_config
from prefect.settings import get_current_settings
from sqlalchemy import make_url
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.standalone.external_prefect import SERVED_BY
from deployments.standalone.prefect_schema import create_database
from deployments.standalone.sqlite import TurnTakingSqliteConfiguration


def create() -> FastAPI:
    """Return the application for the settings in the environment."""
    url = get_current_settings().server.database.connection_url
    if url is not None and make_url(url.get_secret_value()).get_backend_name() == "sqlite":
        _use_sqlite(url.get_secret_value())
    collections.GLOBAL_COLLECTIONS_VIEW_CACHE = _bundled_collections()
    app = create_app(final=True)
    app.add_middleware(ServedBy)
    return app


class ServedBy:
    """Names this server in each of its answers: on SQLite it takes a load under which a stock server locks up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with a header more."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (SERVED_BY.encode(), b"claude-agent-service")]
            await send(message)

        await self._app(scope, receive, named if scope["type"] == "http" else send)


def _use_sqlite(url: str) -> None:
    if (database := make_url(url).database) and not database.startswith(("file:", ":memory:")):
        create_database(Path(database), prefect.__version__)
    set_database_config(TurnTakingSqliteConfiguration(url))


def _bundled_collections() -> TTLCache[str, dict[str, Any], float]:
    # Prefect asks raw.githubusercontent.com for these first, and falls back on its own copies
    bundled: TTLCache[str, dict[str, Any], float] = TTLCache(maxsize=200, ttl=math.inf)
    for file in Path(collections.__file__).parent.glob("collections_data/views/*.json"):
        bundled[file.stem] = json.loads(file.read_text())
    return bundled
