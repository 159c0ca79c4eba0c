"""What Prometheus asks for."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.documentation import answers
from api.door import TheDoor

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=PlainTextResponse, responses=answers(401))
async def metrics(door: TheDoor) -> Response:
    """Counters, gauges and histograms of this host, in Prometheus' text format; METRICS_OPEN leaves out the token."""
    return Response(await door.host.metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
