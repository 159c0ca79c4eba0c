"""Which triage a run belongs to, told by labels of the run."""

from __future__ import annotations

from uuid import UUID

from prefect.context import FlowRunContext
from prefect.utilities.urls import url_for

from agent.domain.values import Frozen

TRIAGE_LABEL = "triage"
PARENT_LABEL = "triage_run"


class ParentTriage(Frozen):
    """The triage that has asked for a run."""

    triage: str
    run_id: UUID
    url: str | None


def current_parent() -> ParentTriage | None:
    """The triage that the run of this flow or task belongs to; no call to Prefect is made for it."""
    context = FlowRunContext.get()
    labels = context.flow_run.labels if context is not None and context.flow_run is not None else {}
    try:
        run_id = UUID(str(labels[PARENT_LABEL]))
    except (KeyError, ValueError):
        return None
    return ParentTriage(triage=str(labels.get(TRIAGE_LABEL, "")), run_id=run_id, url=url_for("flow-run", run_id))
