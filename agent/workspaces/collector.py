"""Collects what a run left in its checkout and keeps unpushed work."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from agent.domain.checkout import Identity, Snapshot
from agent.domain.result import WorkspaceReport
from agent.git.git import Git, GitError
from agent.mirrors.mirror import Mirror
from agent.system.files import remove
from agent.workspaces.changes import Changes, read_changes
from agent.workspaces.kept_work import keep
from agent.workspaces.leftover_work import LeftoverWork, find_leftover_work
from agent.workspaces.slot_directory import SlotDirectory, Step, ignore_step


@dataclass(frozen=True)
class Collector:
    """Collects the work of one run from its slot; made when the run has ended."""

    git: Git
    slot: SlotDirectory
    mirror: Mirror
    snapshot: Snapshot
    identity: Identity
    keep: list[str]
    diff_bytes: int
    step: Step = ignore_step

    async def collect(self, run_id: str) -> WorkspaceReport:
        """Report what the run changed and keep what the remote does not have. Raises WorkspaceError if it cannot."""
        try:
            leftover = await find_leftover_work(self.git, self.slot, self.mirror, self.snapshot.commit, self.keep)
            self.step("examined")
            return await self._report(leftover, run_id)
        finally:
            await asyncio.to_thread(remove, self.slot.work)

    async def _report(self, leftover: LeftoverWork, run_id: str) -> WorkspaceReport:
        unpushed = await self._unpushed(leftover)
        ref = None
        if unpushed or leftover.tree:
            ref = await keep(self.mirror, leftover, unpushed, self.snapshot, run_id)
        self.step("kept")
        identity = self.identity.model_copy(update={"run_id": run_id})
        known = await asyncio.to_thread(self.slot.known_commits)
        # by now the mirror has every object, checked: its word is better than that of the agent's own objects
        changes = await read_changes(self.mirror.git, leftover, set(unpushed), known, identity, self.diff_bytes)
        if changes.more_files:
            leftover.notes.append(f"{changes.more_files} more files changed than are listed")
        return build_report(self.snapshot, changes, ref, leftover.notes)

    async def _unpushed(self, leftover: LeftoverWork) -> list[str]:
        """Return the commits that the remote, asked now, does not have."""
        if leftover.commits == [leftover.base]:
            return []
        try:
            await self.mirror.fetch(time.time())
        except GitError as error:
            leftover.notes.append(f"what the agent pushed could not be verified: {error}")
        there = {leftover.base, *self.mirror.refs().names.values(), *self.mirror.refs().peeled.values()}
        revisions = "\n".join((*leftover.commits, *(f"^{sha}" for sha in there), ""))
        listing = await leftover.git.run("rev-list", "--ignore-missing", "--stdin", stdin=revisions.encode())
        return listing.decode().split()


def build_report(snapshot: Snapshot, changes: Changes, ref: str | None, notes: list[str]) -> WorkspaceReport:
    """Return the report of a run that started from that snapshot."""
    return WorkspaceReport(
        name=snapshot.workspace,
        ref=snapshot.ref,
        commit=snapshot.commit,
        stale=snapshot.stale,
        stale_reason=snapshot.stale_reason,
        commits=changes.commits,
        files_changed=changes.files,
        diffstat=changes.stat,
        diff=changes.diff,
        diff_cut=changes.diff_cut,
        kept_ref=ref,
        notes=notes,
    )
