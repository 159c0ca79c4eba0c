"""The ASGI application: routes and middleware."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from api.http.authentication import OPEN_PATHS, Authentication
from api.http.body_limit import BodyLimit
from api.http.cors import Cors
from api.http.error_boundary import ErrorBoundary
from api.http.errors import ErrorBodies
from api.http.openapi import document
from api.http.paths import CanonicalPath
from api.http.request_id import RequestId
from api.jobs import actions as job_actions
from api.jobs import events as job_events
from api.jobs import listing as job_list
from api.jobs import routes as jobs
from api.jobs.admission import Admission
from api.jobs.known_agents import KnownAgents
from api.openai import chat
from api.openai import list_models as models
from api.openai.chat_agent import ChatAgent
from api.openai.model_catalog import ModelCatalog
from api.operations import agents, health, job_logs, kept_work, metrics, register, schedules, triage, usage
from api.operations import pause as switch
from api.page import routes as page
from api.runs.shared_run import SharedRuns
from api.settings import ApiSettings
from deployments.host.host import Host


def create_app(host: Host, settings: ApiSettings) -> FastAPI:
    """Return the application of an open `host`."""
    # today's callers may send JSON without a content type
    app = FastAPI(
        title="Claude Agent Service",
        version=_version(),
        docs_url=None,
        redoc_url=None,
        strict_content_type=False,
        redirect_slashes=False,  # CanonicalPath: a redirect would name http:// behind TLS, and lose the body
        generate_unique_id_function=lambda route: route.name,
    )
    bodies = ErrorBodies(legacy=settings.legacy_error_bodies)
    app.state.host = host
    app.state.settings = settings
    app.state.error_bodies = bodies
    app.state.admission = Admission(host)
    app.state.known_agents = KnownAgents(host)
    app.state.shared_runs = SharedRuns(settings.caller_grace_seconds, settings.repeat_failure_seconds)
    app.state.model_catalog = ModelCatalog(settings)
    app.state.chat_agent = ChatAgent(host, settings)
    for module in (
        health,
        agents,
        metrics,
        jobs,
        job_actions,
        job_events,
        job_list,
        chat,
        models,
        triage,
        switch,
        register,
        schedules,
        usage,
        kept_work,
        job_logs,
        page,
    ):
        app.include_router(module.router)
    document(app, host.runtime.settings)
    bodies.install(app)
    _add_middleware(app, settings, bodies)
    return app


def _add_middleware(app: FastAPI, settings: ApiSettings, bodies: ErrorBodies) -> None:
    """Add the middleware; what is added last is passed first."""
    open_paths = OPEN_PATHS | page.FILES.keys() | ({"/metrics"} if settings.metrics_open else set())
    app.add_middleware(BodyLimit, max_bytes=settings.max_request_bytes, bodies=bodies)
    app.add_middleware(Authentication, token=settings.api_bearer_token, bodies=bodies, open_paths=open_paths)
    app.add_middleware(ErrorBoundary, bodies=bodies)
    app.add_middleware(Cors, origins=settings.api_cors_origins, bodies=bodies)
    app.add_middleware(CanonicalPath)
    app.add_middleware(RequestId)


def _version() -> str:
    try:
        return version("claude-agent-service")
    except PackageNotFoundError:
        return "0"
