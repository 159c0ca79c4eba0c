"""Loads the outcome of a run from the store."""

from __future__ import annotations

from uuid import UUID

from agent.domain.result import Outcome
from store.store import Store


async def load_outcome(store: Store, run_id: UUID | None) -> Outcome | None:
    """Return the outcome of a run; None until it is stored, and without a run. Raises StoreUnavailable."""
    body = await store.outcomes.load(run_id) if run_id is not None else None
    return None if body is None else Outcome.model_validate_json(body)
