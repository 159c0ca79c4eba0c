"""Sets a whole checkout aside when git cannot keep what is in it."""

from __future__ import annotations

from pathlib import Path

from agent.files import remove
from agent.models import WorkspaceReport
from agent.places import Slot
from agent.snapshot import Snapshot


def set_aside(state_dir: Path, slot: Slot, snapshot: Snapshot, run_id: str, reason: str) -> WorkspaceReport:
    """Move the checkout to STATE_DIR/set-aside/<run id>, at no cost in space, and say why."""
    target = state_dir / "set-aside" / run_id
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove(target)
    slot.checkout.rename(target)
    note = f"the agent's work could not be kept in git ({reason}); its checkout is in STATE_DIR/set-aside/{run_id}"
    return WorkspaceReport(
        name=snapshot.workspace,
        ref=snapshot.ref,
        commit=snapshot.commit,
        stale=snapshot.stale,
        stale_reason=snapshot.stale_reason,
        notes=[note],
    )
