"""Loads the outcome of a run from the store, and summarizes it for lists."""

from __future__ import annotations

from uuid import UUID

from agent.domain.result import Outcome
from store.store import Store


async def load_outcome(store: Store, run_id: UUID | None) -> Outcome | None:
    """Return the outcome of a run; None until it is stored, and without a run. Raises StoreUnavailable."""
    body = await store.outcomes.load(run_id) if run_id is not None else None
    return None if body is None else Outcome.model_validate_json(body)


def summarize(outcome: Outcome) -> str:
    """Return the outcome as JSON for lists of jobs, without the members that may be large."""
    short: dict[str, object] = {"output": [], "stderr": "", "text": None, "structured": None, "workspace": None}
    result = outcome.result.model_copy(update=short) if outcome.result is not None else None
    return outcome.model_copy(update={"result": result}).model_dump_json()
