"""Moves a whole checkout aside when git cannot store what is in it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from agent.git.inert import disarm_repositories
from agent.system.files import remove
from agent.workspaces.slot_directory import SlotDirectory

FOLDER = "set-aside"


def quarantine(state_dir: Path, slot: SlotDirectory, run_id: str, reason: str) -> str:
    """Move the checkout out of the slot, and return the note for the run's report."""
    move_to_quarantine(state_dir, slot, run_id)
    return f"the agent's work could not be kept in git ({reason}); its checkout is in STATE_DIR/{FOLDER}/{run_id}"


def move_to_quarantine(state_dir: Path, slot: SlotDirectory, name: str) -> None:
    """Rename the checkout to STATE_DIR/set-aside/<name>, and take config and hooks from the repositories in it."""
    target = state_dir / FOLDER / name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove(target)
    slot.checkout.rename(target)
    disarm_repositories(target)
    # retention counts from now
    os.utime(target)


def list_quarantined(state_dir: Path) -> list[Path]:
    """List the quarantined checkouts, each named after its run."""
    return sorted((state_dir / FOLDER).glob("*"))


def delete_quarantined(state_dir: Path, limit: datetime) -> None:
    """Delete the checkouts that were quarantined before that moment."""
    for path in list_quarantined(state_dir):
        if datetime.fromtimestamp(path.lstat().st_mtime, UTC) < limit:
            remove(path)
