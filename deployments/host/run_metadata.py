"""Name, tags and labels of a flow run, and the request in its parameters."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from pydantic import ValidationError

from agent.domain.request import AgentRequest
from agent.system.text import shorten
from agent.workspaces.agent_definitions import short_name
from deployments.telemetry.observers import TRIGGERS, ObservedRun
from tasks.agent_run.context import RunContext
from tasks.agent_run.parent_triage import PARENT_LABEL, TRIAGE_LABEL

Labels = dict[str, str | int | float | bool]

_NAME_CHARACTERS = 60
_TAG_CHARACTERS = 120
TRIAGE_TAG = "triage:"
"""The beginning of the tag of a triage and of the runs of its agents."""

TRIGGER = "trigger:"
"""The prefix of the tag that says how a run was triggered."""

_CALLER = "user:"
_GENERATED = re.compile(r"[a-z]+-[a-z]+")
"""The form of the names that Prefect makes up."""

_log = logging.getLogger(__name__)


def run_name(request: AgentRequest, title: str | None = None) -> str:
    """Return the agent and its title, or the beginning of its prompt."""
    return f"{request.agent}: {shorten(title or request.prompt, _NAME_CHARACTERS)}"


def run_tags(request: AgentRequest, given: Iterable[str]) -> list[str]:
    """Return the given tags and one with the agent's name, without its path."""
    return list(dict.fromkeys([*given, shorten(f"agent:{short_name(request.agent)}", _TAG_CHARACTERS)]))


def run_labels(request: AgentRequest, tags: Iterable[str]) -> Labels:
    """Return the labels of a run; what the request leaves open has no label."""
    labels: dict[str, str | None] = {
        "agent": short_name(request.agent),
        "model": request.model,
        "effort": request.effort,
        "workspace": request.workspace,
        "ref": request.ref,
        "trigger": _value(tags, TRIGGER),
        "caller": _value(tags, _CALLER),
    }
    return {name: value for name, value in labels.items() if value is not None}


def triage_tags(name: str) -> list[str]:
    """Return the tag of a triage, which the runs of its agents have too."""
    return [shorten(f"{TRIAGE_TAG}{name}", _TAG_CHARACTERS)]


def triage_labels(name: str, tags: Iterable[str]) -> Labels:
    """Return the labels of the triage's own run."""
    return {TRIAGE_LABEL: name, "trigger": _value(tags, TRIGGER) or "prefect"}


def child_labels(triage: str, parent: UUID) -> Labels:
    """Return the labels of a run that a triage started."""
    return {TRIAGE_LABEL: triage, PARENT_LABEL: str(parent)}


@dataclass(frozen=True)
class RunMetadata:
    """Name, tags and labels, as the service gives them to the runs that it makes."""

    name: str
    tags: list[str]
    labels: Labels

    @classmethod
    def of(cls, request: AgentRequest) -> RunMetadata:
        """Return those of an agent's run."""
        return cls(run_name(request), run_tags(request, []), run_labels(request, []))

    @classmethod
    def of_triage(cls, name: str) -> RunMetadata:
        """Return those of a triage's own run."""
        return cls(f"triage of {name}", triage_tags(name), triage_labels(name, []))


@asynccontextmanager
async def with_metadata(client: PrefectClient, flow_run: FlowRun, metadata: RunMetadata | None) -> AsyncIterator[None]:
    """While this is open, give a run that was made in Prefect the metadata that the service's own runs have.

    Those are the runs of schedules, and those that a person starts in Prefect's UI. A name that a person chose stays.
    A failure is only logged: the run is harder to find, and nothing else.
    """
    if metadata is None or any(tag.startswith(TRIGGER) for tag in flow_run.tags):
        yield
        return
    trigger = "schedule" if flow_run.auto_scheduled else "prefect"
    flow_run.tags = list(dict.fromkeys([*flow_run.tags, f"{TRIGGER}{trigger}", *metadata.tags]))
    if flow_run.auto_scheduled or _GENERATED.fullmatch(flow_run.name):
        flow_run.name = metadata.name
    updating = asyncio.create_task(_update(client, flow_run, {**metadata.labels, "trigger": trigger}))
    try:
        yield
    finally:
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)


async def _update(client: PrefectClient, flow_run: FlowRun, labels: Labels) -> None:
    try:
        await client.update_flow_run(flow_run.id, name=flow_run.name, tags=flow_run.tags)
        await client.update_flow_run_labels(flow_run.id, labels)
    except Exception as error:
        _log.debug("name and tags of run %s could not be set: %s", flow_run.id, error)


def _value(tags: Iterable[str], prefix: str) -> str | None:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), None)


def read_request(flow_run: FlowRun) -> AgentRequest | None:
    """Return the request of the run; None if its parameters hold none, which the flow itself reports."""
    try:
        return AgentRequest.model_validate(flow_run.parameters.get("request"))
    except ValidationError:
        return None


def is_to_resume(flow_run: FlowRun) -> bool:
    """True if the run was asked for with `on_crash: resume`."""
    request = flow_run.parameters.get("request")
    return isinstance(request, dict) and request.get("on_crash") == "resume"


def observed_run(flow_run: FlowRun, context: RunContext, asked_at: datetime | None = None) -> ObservedRun:
    """Return the run as its observers see it; `asked_at` is when a caller that waits asked for it."""
    request = flow_run.parameters.get("request")
    return ObservedRun(
        run_id=flow_run.id,
        trigger=_counted_trigger(flow_run),
        asked_agent=str(request.get("agent")) if isinstance(request, dict) else "",
        waited_seconds=None if context.resumption is not None else _waited_seconds(flow_run, asked_at),
        context=context,
    )


def run_trigger(flow_run: FlowRun) -> str:
    """Return how the run was triggered, as its tag says: `execute`, `chat`, `schedule`, `api`, …"""
    return _value(flow_run.tags, TRIGGER) or ("schedule" if flow_run.auto_scheduled else "prefect")


def _counted_trigger(flow_run: FlowRun) -> str:
    """Return one of TRIGGERS, or `other`: metrics have a bounded number of labels."""
    trigger = run_trigger(flow_run)
    return trigger if trigger in TRIGGERS else "other"


def _waited_seconds(flow_run: FlowRun, asked_at: datetime | None) -> float | None:
    since = asked_at or flow_run.expected_start_time
    if flow_run.run_count or since is None:
        return None
    return max(0.0, (datetime.now(UTC) - since).total_seconds())
