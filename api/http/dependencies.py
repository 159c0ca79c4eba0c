"""FastAPI dependencies: host, settings."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from api.http.errors import ErrorBodies
from api.settings import ApiSettings
from deployments.host.host import Host


def _host(request: Request) -> Host:
    host: Host = request.app.state.host
    return host


def _settings(request: Request) -> ApiSettings:
    settings: ApiSettings = request.app.state.settings
    return settings


def _error_bodies(request: Request) -> ErrorBodies:
    bodies: ErrorBodies = request.app.state.error_bodies
    return bodies


HostDep = Annotated[Host, Depends(_host)]
"""The host behind the API. A route that declares a parameter of this type is given the application's one."""

SettingsDep = Annotated[ApiSettings, Depends(_settings)]
ErrorBodiesDep = Annotated[ErrorBodies, Depends(_error_bodies)]
