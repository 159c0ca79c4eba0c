"""Collects what a run left in its checkout and keeps unpushed work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.domain.checkout import Identity, Snapshot
from agent.domain.result import WorkspaceReport
from agent.git.git import Git
from agent.git.git_directory import CORE, GitDir
from agent.mirrors.mirror import Mirror
from agent.system.concurrency import run_to_completion
from agent.system.files import remove
from agent.workspaces.changes import Changes, read_changes
from agent.workspaces.kept_work import keep
from agent.workspaces.leftover_work import LeftoverWork, find_leftover_work
from agent.workspaces.own_commits import CommitFinder
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
    began_at: float | None = None
    step: Step = ignore_step

    async def collect(self, run_id: str) -> WorkspaceReport:
        """Report what the run changed and keep what the remote does not have. Raises WorkspaceError if it cannot."""
        try:
            leftover = await find_leftover_work(self.git, self.slot, self.mirror, self.snapshot.commit, self.keep)
            self.step("examined")
            return await self._report(leftover, run_id)
        finally:
            for scratch in (self.slot.work, self.slot.view):
                await run_to_completion(asyncio.to_thread(remove, scratch))

    async def _report(self, leftover: LeftoverWork, run_id: str) -> WorkspaceReport:
        identity = self.identity.model_copy(update={"run_id": run_id})
        own = await CommitFinder(self.slot, self.mirror, identity, self.began_at).find(leftover)
        ref = None
        if own.unpushed or leftover.tree:
            ref = await keep(self.mirror, leftover, own, self.snapshot, run_id)
        self.step("kept")
        # by now the mirror or the kept work has every object, checked: their word is better than the agent's own
        changes = await read_changes(await self._view(), leftover, own, self.diff_bytes)
        if changes.more_files:
            leftover.notes.append(f"{changes.more_files} more files changed than are listed")
        return build_report(self.snapshot, changes, ref, leftover.notes)

    async def _view(self) -> Git:
        """Return git for a directory that sees the mirror and its kept work, and that may be written to."""
        kept = self.mirror.kept
        alternates = (self.mirror.objects,) if kept.is_empty else (kept.objects, self.mirror.objects)
        view = GitDir("ref: refs/heads/none", alternates, shallow=self.mirror.shallow(), config={"core": CORE})
        await run_to_completion(asyncio.to_thread(view.write, self.slot.view))
        return self.git.at(self.slot.view)


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
