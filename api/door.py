"""What every route works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.admission import Admission
from api.calls import Calls
from api.catalogue import Catalogue
from api.errors import ErrorBodies
from api.settings import ApiSettings
from deployments.host import Host


@dataclass(frozen=True)
class Door:
    """The host behind the API, and how the API is set."""

    host: Host
    settings: ApiSettings
    admission: Admission
    bodies: ErrorBodies
    calls: Calls
    catalogue: Catalogue


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(_door)]
"""A route's parameter of this type is the application's own door."""
