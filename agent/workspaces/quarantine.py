"""Sets a whole checkout aside when git cannot keep what is in it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from agent.domain.checkout import Snapshot
from agent.domain.result import WorkspaceReport
from agent.system.files import remove
from agent.workspaces.slot_directory import SlotDirectory

FOLDER = "set-aside"


def quarantine(state_dir: Path, slot: SlotDirectory, snapshot: Snapshot, run_id: str, reason: str) -> WorkspaceReport:
    """Move the checkout out of the slot, and report why."""
    move_to_quarantine(state_dir, slot, run_id)
    note = f"the agent's work could not be kept in git ({reason}); its checkout is in STATE_DIR/{FOLDER}/{run_id}"
    return WorkspaceReport(
        name=snapshot.workspace,
        ref=snapshot.ref,
        commit=snapshot.commit,
        stale=snapshot.stale,
        stale_reason=snapshot.stale_reason,
        notes=[note],
    )


def move_to_quarantine(state_dir: Path, slot: SlotDirectory, name: str) -> None:
    """Move the checkout to STATE_DIR/set-aside/<name>, at no cost in space."""
    target = state_dir / FOLDER / name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove(target)
    slot.checkout.rename(target)
    # its age counts from now
    os.utime(target)


def list_quarantined(state_dir: Path) -> list[Path]:
    """The checkouts that were set aside, each named after its run."""
    return sorted((state_dir / FOLDER).glob("*"))


def delete_quarantined(state_dir: Path, limit: datetime) -> None:
    """Remove what was set aside, and mirrors that were retired, before that moment."""
    for path in (*(state_dir / FOLDER).glob("*"), *(state_dir / "mirrors").glob("*.broken-*")):
        if datetime.fromtimestamp(path.lstat().st_mtime, UTC) < limit:
            remove(path)
