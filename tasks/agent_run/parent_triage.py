"""The triage that started a run, from the labels of the run."""

from __future__ import annotations

from uuid import UUID

from prefect.context import FlowRunContext
from prefect.utilities.urls import url_for

from agent.domain.values import Frozen

TRIAGE_LABEL = "triage"
PARENT_LABEL = "triage_run"


class ParentTriage(Frozen):
    """The triage that started a run, as the run's labels name it."""

    triage: str
    run_id: UUID
    url: str | None


def current_parent() -> ParentTriage | None:
    """Return the triage that started the current run, None if no triage did. Makes no call to Prefect."""
    context = FlowRunContext.get()
    labels = context.flow_run.labels if context is not None and context.flow_run is not None else {}
    try:
        run_id = UUID(str(labels[PARENT_LABEL]))
    except (KeyError, ValueError):
        return None
    return ParentTriage(triage=str(labels.get(TRIAGE_LABEL, "")), run_id=run_id, url=url_for("flow-run", run_id))
