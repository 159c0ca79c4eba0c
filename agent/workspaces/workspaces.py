"""Syncs workspaces and gives each run a checkout."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from agent.domain.checkout import Identity, Snapshot
from agent.domain.errors import WorkspaceError
from agent.domain.result import WorkspaceReport
from agent.git.environment import GitEnvironment
from agent.git.refs import check_ref
from agent.mirrors.garbage_collection import collect_garbage
from agent.mirrors.mirror import Mirror
from agent.mirrors.registry import Mirrors
from agent.mirrors.repair import delete_retired
from agent.settings import DEFAULT_WORKSPACE, AgentSettings
from agent.system.concurrency import run_to_completion
from agent.system.files import explained, remove
from agent.workspaces.agent_definitions import AgentDefinition, list_agents
from agent.workspaces.changes import Changes
from agent.workspaces.checkout import CheckoutBuilder
from agent.workspaces.clone_config import describe_clone
from agent.workspaces.collector import Collector, build_report
from agent.workspaces.kept_work import KeptWork, bundle_kept, drop_kept, kept_ref, list_kept, restore_kept
from agent.workspaces.quarantine import delete_quarantined, list_quarantined, move_to_quarantine, quarantine
from agent.workspaces.ref_finder import RefFinder
from agent.workspaces.slot_directory import SlotDirectory, Step, ignore_step

# A remote that failed this recently is not asked again by runs that accept the last good state.
RECENT_SECONDS = 30.0


class Workspaces:
    """The workspaces of one host, one object per host; any number of runs and processes may use them at once."""

    def __init__(
        self, settings: AgentSettings, environ: Mapping[str, str] | None = None, step: Step = ignore_step
    ) -> None:
        self.settings = settings
        self._environment = GitEnvironment(settings, os.environ if environ is None else environ)
        self._mirrors = Mirrors(settings, self._environment)
        self._step = step

    def names(self) -> list[str]:
        """Return the names of the workspaces."""
        return self._mirrors.names()

    async def sync(
        self, name: str = DEFAULT_WORKSPACE, ref: str | None = None, *, fresh: bool = False, allow_stale: bool = False
    ) -> Snapshot:
        """Return the newest commit of a workspace, or of `ref` in it, at most FETCH_DEBOUNCE_SECONDS old.

        With `allow_stale` a remote that cannot be reached gives the last good state, unless the workspace is strict.
        Raises WorkspaceError; it is not retryable for an unknown workspace or ref.
        """
        config = self._mirrors.config(name)
        mirror = await self._mirrors.of(name)
        stale_allowed = allow_stale and not (self.settings.workspace_strict or config.strict)
        now = time.time()
        wanted = check_ref(ref) if ref else None
        not_before = now if fresh else now - self.settings.fetch_debounce_seconds
        with explained("syncing the workspace"):
            stale_reason = await self._refresh(mirror, not_before, stale_allowed, fresh)
            finder = RefFinder(name, mirror, now, stale_allowed)
            found = await finder.find(wanted, config.ref, stale_reason)
        return Snapshot(
            workspace=name,
            ref=found.ref,
            commit=found.target.commit,
            branch=found.target.branch,
            is_own_ref=found.is_own,
            stale=found.stale_reason is not None,
            stale_reason=found.stale_reason,
            fetched_at=datetime.fromtimestamp(mirror.fetch_state().good_at, UTC),
            mirror=mirror.path,
            remote_path=mirror.remote.path if mirror.remote.is_bare else None,
        )

    async def checkout(self, slot: Path, snapshot: Snapshot, identity: Identity) -> Path:
        """Build the slot's checkout at the snapshot's commit, without anything of an earlier run, and return its path.

        Uncollected work of an earlier run is collected first. Raises WorkspaceError.
        """
        directory = SlotDirectory(slot)
        if identity.run_id:
            kept_ref(identity.run_id)
        with explained("preparing the checkout"):
            await self._collect_orphan(directory)
            await (await self._builder(directory, snapshot, identity)).build()
        return directory.checkout

    async def _builder(self, directory: SlotDirectory, snapshot: Snapshot, identity: Identity) -> CheckoutBuilder:
        return CheckoutBuilder(
            git=self._environment.untrusted(),
            slot=directory,
            mirror=await self._mirrors.of_snapshot(snapshot),
            config=self._mirrors.config(snapshot.workspace),
            snapshot=snapshot,
            identity=self._complete(identity),
            environment=self._environment.allowed(),
            is_trusted=snapshot.is_own_ref or self.settings.agent_repo_code == "on",
            step=self._step,
        )

    async def identify(self, slot: Path, identity: Identity) -> Path:
        """Assign a checkout that was prepared ahead to a run, and return its path. Raises WorkspaceError."""
        directory = SlotDirectory(slot)
        record = directory.record()
        if record is None or record.collected:
            raise WorkspaceError(f"slot {slot.name} is not ready", "prepare it first", retryable=True)
        identity = self._complete(identity)
        mirror = await self._mirrors.of_snapshot(record.snapshot)
        config = self._mirrors.config(record.snapshot.workspace)
        dot_git = describe_clone(record.snapshot, mirror, config, identity)
        try:
            await run_to_completion(asyncio.to_thread(dot_git.rewrite_identity, directory.checkout))
        except OSError as error:
            raise WorkspaceError(f"slot {slot.name} was tampered with ({error})", retryable=True) from error
        directory.write_record(record.model_copy(update={"identity": identity, "began_at": time.time()}))
        return directory.checkout

    async def collect(self, slot: Path, snapshot: Snapshot, run_id: str) -> WorkspaceReport:
        """Report what the run in the slot changed, and keep its unpushed work as refs/agent-runs/<run id>.

        Work that git cannot store is quarantined, and the report's notes say where.
        """
        directory = SlotDirectory(slot)
        record = directory.record()
        identity = record.identity if record else self._complete(Identity(run_id=run_id))
        kept_ref(run_id)
        git = self._environment.untrusted()
        try:
            with explained("collecting the run's work"):
                mirror = await self._mirrors.of_snapshot(snapshot)
                keep = self._mirrors.keep(snapshot)
                diff_bytes, began_at = self.settings.diff_max_bytes, record.began_at if record else None
                collector = Collector(
                    git, directory, mirror, snapshot, identity, keep, diff_bytes, began_at, self._step
                )
                report = await collector.collect(run_id)
        except WorkspaceError as error:
            moving = asyncio.to_thread(quarantine, self.settings.state_dir, directory, run_id, str(error))
            note = await run_to_completion(moving)
            report = build_report(snapshot, Changes(), None, [note])
        if record:
            directory.write_record(record.model_copy(update={"collected": True}))
            self._step("collected")
        return report

    async def agents(self, snapshot: Snapshot) -> list[AgentDefinition]:
        """List the agents that are defined in that snapshot. Raises WorkspaceError."""
        with explained("listing the agents"):
            return await list_agents((await self._mirrors.of_snapshot(snapshot)).git, snapshot.commit)

    def read_paths(self, snapshot: Snapshot) -> list[Path]:
        """Return the paths that an agent must be able to read, and not to write, for its checkout to work."""
        return [snapshot.mirror / "objects", *([snapshot.remote_path] if snapshot.remote_path else [])]

    async def kept(self) -> list[KeptWork]:
        """List the kept work of earlier runs, newest first."""
        listings = [await list_kept(mirror) for mirror in await self._mirrors.all()]
        return sorted((kept for listing in listings for kept in listing), key=lambda kept: kept.kept_at, reverse=True)

    def quarantined(self) -> list[Path]:
        """List the quarantined checkouts."""
        return list_quarantined(self.settings.state_dir)

    async def bundle(self, run_id: str) -> Path | None:
        """Write the kept work of that run as a git bundle, and return the file, which the caller removes.

        None if nothing is kept. Raises WorkspaceError.
        """
        with explained("bundling kept work"):
            for mirror in await self._mirrors.all():
                for kept in await list_kept(mirror):
                    if kept.run_id == run_id:
                        return await bundle_kept(mirror, kept)
        return None

    async def restore(self, run_id: str, target: Path) -> Path:
        """Clone to `target` with that run's work, and return `target`. Raises WorkspaceError if nothing is kept."""
        found = [kept for kept in await self.kept() if kept.run_id == run_id]
        if not found:
            raise WorkspaceError(f"nothing is kept of run {run_id!r}")
        (mirror,) = (mirror for mirror in await self._mirrors.all() if mirror.path == found[0].mirror)
        return await restore_kept(self._environment.local(), found[0], mirror.remote.url, target.absolute())

    async def drop_older_than(self, days: float | None = None) -> list[KeptWork]:
        """Delete work kept for more than `days` (default KEPT_WORK_DAYS), and return what was deleted."""
        limit = datetime.now(UTC) - timedelta(days=self.settings.kept_work_days if days is None else days)
        dropped = []
        for mirror in await self._mirrors.all():
            listed = await list_kept(mirror)
            old = [kept for kept in listed if kept.kept_at < limit]
            if old:
                await drop_kept(mirror, [kept.ref for kept in old])
            kept_since = min((kept.kept_at.timestamp() for kept in listed if kept not in old), default=None)
            checked_out = partial(_checked_out, mirror, self.settings.state_dir / "slots")
            await collect_garbage(mirror, checked_out, dropped=bool(old), kept_since=kept_since)
            dropped += old
        await asyncio.to_thread(delete_quarantined, self.settings.state_dir, limit)
        await asyncio.to_thread(delete_retired, self._mirrors.directory, limit)
        return dropped

    async def vacate(self, slot: Path) -> None:
        """Collect what is uncollected in an unused slot, and remove the slot. Raises WorkspaceError."""
        with explained("vacating the slot"):
            await self._collect_orphan(SlotDirectory(slot))
            await run_to_completion(asyncio.to_thread(remove, slot))

    def _complete(self, identity: Identity) -> Identity:
        return identity.model_copy(
            update={
                "name": identity.name or self.settings.git_author_name,
                "email": identity.email or self.settings.git_author_email,
            }
        )

    async def _refresh(self, mirror: Mirror, not_before: float, allow_stale: bool, fresh: bool) -> str | None:
        """Fetch; return why the state is stale if that failed and a stale state is allowed, else None."""
        attempts = mirror.fetch_state()
        recent = time.time() - attempts.tried_at < RECENT_SECONDS and not fresh
        if allow_stale and recent and attempts.error and attempts.good_at:
            return str(attempts.failure())
        # a repack holds the mirror for minutes: who may start from the last good state does not wait for it
        wait_seconds = self.settings.fetch_timeout_seconds if allow_stale and attempts.good_at else None
        try:
            await mirror.fetch(not_before, wait_seconds)
        except WorkspaceError as error:
            if allow_stale and mirror.fetch_state().good_at:
                return str(error)
            raise
        return None

    async def _collect_orphan(self, slot: SlotDirectory) -> None:
        """Collect the work of a run whose service was killed."""
        record = slot.record()
        unnamed = f"slot-{slot.directory.name}-{int(time.time())}"
        if slot.has_unreadable_record() and slot.checkout.exists():
            await run_to_completion(asyncio.to_thread(move_to_quarantine, self.settings.state_dir, slot, unnamed))
        if record is not None and not record.collected:
            await self.collect(slot.directory, record.snapshot, record.identity.run_id or unnamed)


def _checked_out(mirror: Mirror, slots: Path) -> set[str]:
    """Return the commits that slots of this mirror were prepared with."""
    found: set[str] = set()
    for directory in slots.glob("*"):
        slot = SlotDirectory(directory)
        if slot.mirror_objects() == str(mirror.objects):
            record = slot.record()
            found |= slot.known_commits() | ({record.snapshot.commit} if record else set())
    return found
