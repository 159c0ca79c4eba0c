"""Route /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.http.dependencies import HostDep
from api.http.openapi import Document, error_responses

router = APIRouter(tags=["health"])


TEXT: Document = {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get("/metrics", response_class=Response, responses={200: TEXT, **error_responses(401)})
async def metrics(host: HostDep) -> Response:
    """The metrics of this host in Prometheus' text format. With METRICS_OPEN no token is needed."""
    return Response(await host.metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
