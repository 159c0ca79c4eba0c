"""What every route works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.http.errors import ErrorBodies
from api.jobs.admission import Admission
from api.openai.model_catalog import ModelCatalog
from api.runs.shared_run import SharedRuns
from api.settings import ApiSettings
from deployments.host.host import Host


@dataclass(frozen=True)
class Door:
    """The host behind the API, and how the API is set."""

    host: Host
    settings: ApiSettings
    admission: Admission
    bodies: ErrorBodies
    calls: SharedRuns
    catalogue: ModelCatalog


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(_door)]
"""A route's parameter of this type is the application's own door."""
