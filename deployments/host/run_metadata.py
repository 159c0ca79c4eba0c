"""By what a person finds a run in Prefect: its name, its tags, its labels."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from pydantic import ValidationError

from agent.domain.request import AgentRequest
from agent.system.text import shorten
from tasks.agent_run.parent_triage import PARENT_LABEL, TRIAGE_LABEL

Labels = dict[str, str | int | float | bool]

_NAME_CHARACTERS = 60
_TAG_CHARACTERS = 120
TRIGGER = "trigger:"
"""How the tag begins that says who asked for a run."""

_CALLER = "user:"
_GENERATED = re.compile(r"[a-z]+-[a-z]+")
"""What Prefect calls a run that was given no name."""

_log = logging.getLogger(__name__)


def run_name(request: AgentRequest, title: str | None = None) -> str:
    """The agent, and what it is to do: the title of that, or how its prompt begins."""
    return f"{request.agent}: {shorten(title or request.prompt, _NAME_CHARACTERS)}"


def run_tags(request: AgentRequest, given: Iterable[str]) -> list[str]:
    """What was given, and the agent's name, however the caller wrote it."""
    return list(dict.fromkeys([*given, shorten(f"agent:{_short_name(request.agent)}", _TAG_CHARACTERS)]))


def run_labels(request: AgentRequest, tags: Iterable[str]) -> Labels:
    """What was asked for, by name; who asked for it, as the tags say. What was left open has no label."""
    labels: dict[str, str | None] = {
        "agent": _short_name(request.agent),
        "model": request.model,
        "effort": request.effort,
        "workspace": request.workspace,
        "ref": request.ref,
        "trigger": _told(tags, TRIGGER),
        "caller": _told(tags, _CALLER),
    }
    return {name: value for name, value in labels.items() if value is not None}


def triage_tags(name: str) -> list[str]:
    """What a triage and its agents' runs have in common."""
    return [shorten(f"triage:{name}", _TAG_CHARACTERS)]


def triage_labels(name: str, tags: Iterable[str]) -> Labels:
    """Of the triage's own run."""
    return {TRIAGE_LABEL: name, "trigger": _told(tags, TRIGGER) or "prefect"}


def child_labels(triage: str, parent: UUID) -> Labels:
    """Whose part a run is."""
    return {TRIAGE_LABEL: triage, PARENT_LABEL: str(parent)}


@dataclass(frozen=True)
class RunMetadata:
    """What a run has that was made by the service itself."""

    name: str
    tags: list[str]
    labels: Labels

    @classmethod
    def of(cls, request: AgentRequest) -> RunMetadata:
        """Of an agent's run."""
        return cls(run_name(request), run_tags(request, []), run_labels(request, []))

    @classmethod
    def of_triage(cls, name: str) -> RunMetadata:
        """Of a triage's own run."""
        return cls(f"triage of {name}", triage_tags(name), triage_labels(name, []))


@asynccontextmanager
async def marked(client: PrefectClient, flow_run: FlowRun, marks: RunMetadata | None) -> AsyncIterator[None]:
    """Beside what is done in here, give a run that was made in Prefect what the service's own have from the first.

    Such are the runs of schedules, and those that a person starts in Prefect's UI. A name that somebody chose stays.
    Where Prefect does not take it, the run is only harder to find.
    """
    if marks is None or any(tag.startswith(TRIGGER) for tag in flow_run.tags):
        yield
        return
    trigger = "schedule" if flow_run.auto_scheduled else "prefect"
    flow_run.tags = list(dict.fromkeys([*flow_run.tags, f"{TRIGGER}{trigger}", *marks.tags]))
    if flow_run.auto_scheduled or _GENERATED.fullmatch(flow_run.name):
        flow_run.name = marks.name
    marking = asyncio.create_task(_mark(client, flow_run, {**marks.labels, "trigger": trigger}))
    try:
        yield
    finally:
        marking.cancel()
        await asyncio.gather(marking, return_exceptions=True)


async def _mark(client: PrefectClient, flow_run: FlowRun, labels: Labels) -> None:
    try:
        await client.update_flow_run(flow_run.id, name=flow_run.name, tags=flow_run.tags)
        await client.update_flow_run_labels(flow_run.id, labels)
    except Exception as error:
        _log.debug("run %s could not be marked: %s", flow_run.id, error)


def _short_name(agent: str) -> str:
    """The agent's name, where its caller wrote the path of its definition."""
    return PurePosixPath(agent).name.removesuffix(".md") or agent


def _told(tags: Iterable[str], prefix: str) -> str | None:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), None)


def read_request(flow_run: FlowRun) -> AgentRequest | None:
    """What the run was made with; None if that is no request, as the flow itself will say."""
    try:
        return AgentRequest.model_validate(flow_run.parameters.get("request"))
    except ValidationError:
        return None


def is_to_resume(flow_run: FlowRun) -> bool:
    """Whether the run was asked for with `on_crash: resume`."""
    request = flow_run.parameters.get("request")
    return isinstance(request, dict) and request.get("on_crash") == "resume"
