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

from deployments.standalone.prefect_schema import create_database
from deployments.standalone.sqlite import TurnTakingSqliteConfiguration


def create() -> FastAPI:
    """Return the application for the settings in the environment."""
    url = get_current_settings().server.database.connection_url
    if url is not None and make_url(url.get_secret_value()).get_backend_name() == "sqlite":
        _use_sqlite(url.get_secret_value())
    collections.GLOBAL_COLLECTIONS_VIEW_CACHE = _bundled_collections()
    return create_app(final=True)


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
