"""Sends Prefect heartbeats of the runs of this host over HTTP, beside the engine's own over a websocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.events import Event, RelatedResource, Resource

from deployments.prefect_client.calls import BACKGROUND_SECONDS, calling_prefect
from deployments.prefect_client.watch import Watches

HEARTBEAT = "prefect.flow-run.heartbeat"
"""The event of Prefect's own engine, which the automation for lost runs waits for."""

INTERVAL_SECONDS = 30.0
"""The interval of Prefect's own; LOST_AFTER_SECONDS is three times as long at least."""


class Heartbeats:
    """The heartbeats of one host, made with it. `runs` returns the runs at work, each with the name of its flow.

    A proxy that refuses websockets would otherwise make every healthy run look lost.
    """

    def __init__(
        self, client: PrefectClient, watches: Watches, runs: Callable[[], Iterable[tuple[FlowRun, str]]]
    ) -> None:
        self._client = client
        self._runs = runs
        self._watch = watches.add("heartbeats", self.send, lambda: INTERVAL_SECONDS)

    @asynccontextmanager
    async def repeating(self) -> AsyncIterator[None]:
        """Send the heartbeats every half a minute while this is open."""
        async with self._watch.repeating():
            yield

    async def send(self) -> None:
        """Send one heartbeat of each run at work, in one call. Raises PrefectUnavailable."""
        events = [_heartbeat(flow_run, flow) for flow_run, flow in self._runs()]
        if events:
            async with calling_prefect(BACKGROUND_SECONDS):
                await self._client.request("POST", "/events", json=[event.model_dump(mode="json") for event in events])


def _heartbeat(flow_run: FlowRun, flow: str) -> Event:
    return Event(
        event=HEARTBEAT,
        resource=Resource({"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"}),
        related=[
            RelatedResource(
                {
                    "prefect.resource.id": f"prefect.flow.{flow_run.flow_id}",
                    "prefect.resource.role": "flow",
                    "prefect.resource.name": flow,
                }
            )
        ],
    )
