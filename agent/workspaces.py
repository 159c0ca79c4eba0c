"""Workspaces: which there are, how fresh they are, and a checkout of one for each run."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.checkout import Preparation, Step, no_step
from agent.collecting import Collector
from agent.errors import WorkspaceError
from agent.git import GitError
from agent.git_environment import GitEnvironment
from agent.kept import Kept, drop_kept, list_kept, restore_kept
from agent.mirror import Limits, Mirror
from agent.models import WorkspaceReport
from agent.places import Slot
from agent.refs import Target, check_ref
from agent.remote import Remote, find_remote
from agent.setaside import set_aside
from agent.settings import AgentSettings, WorkspaceConfig
from agent.snapshot import Identity, Snapshot
from agent.starter import make_starter

DEFAULT = "default"
USUAL_PLACE = Path("/workspace/infra")
# A remote that failed so lately is not asked again by whoever is content with the last good state.
RECENT_SECONDS = 30.0

__all__ = ["Identity", "Kept", "Snapshot", "Workspaces"]


class Workspaces:
    """All workspaces of one host; safe to use from any number of runs and processes at once."""

    def __init__(self, settings: AgentSettings, environ: Mapping[str, str] | None = None, step: Step = no_step) -> None:
        self.settings = settings
        self._environment = GitEnvironment(settings, os.environ if environ is None else environ)
        self._remotes: dict[str, tuple[float, Remote]] = {}
        self._step = step

    def names(self) -> list[str]:
        """The workspaces that a request can name."""
        return [DEFAULT, *sorted(name for name in self.settings.workspaces if name != DEFAULT)]

    async def sync(
        self, name: str = DEFAULT, ref: str | None = None, *, fresh: bool = False, allow_stale: bool = False
    ) -> Snapshot:
        """The newest commit of a workspace, or of `ref` in it; one attempt, no older than FETCH_DEBOUNCE_SECONDS.

        With `allow_stale` a remote that is away gives the last good state, unless the workspace is strict.
        Raises WorkspaceError: not retryable for a workspace or ref that there is not.
        """
        config = self._config(name)
        mirror, remote = await self._mirror(name)
        strict = self.settings.workspace_strict or config.strict
        now = time.time()
        named = ref or config.ref
        wanted = check_ref(named) if named else None
        not_before = now if fresh else now - self.settings.fetch_debounce_seconds
        stale_reason = await self._refresh(mirror, not_before, allow_stale and not strict)
        wanted = wanted or _usual_branch(mirror, remote)
        target = await self._find(name, mirror, wanted, now, ask=stale_reason is None)
        return Snapshot(
            workspace=name,
            ref=wanted,
            commit=target.commit,
            branch=target.branch,
            stale=stale_reason is not None,
            stale_reason=stale_reason,
            fetched_at=datetime.fromtimestamp(mirror.attempts().good_at, UTC),
            mirror=mirror.path,
        )

    async def prepare(self, slot: Path, snapshot: Snapshot, identity: Identity) -> Path:
        """The slot's checkout, at the snapshot's commit and with nothing of an earlier run in it.

        What an earlier run left uncollected is collected first. Raises WorkspaceError.
        """
        place = Slot(slot)
        await self._collect_orphan(place)
        preparation = Preparation(
            git=self._environment.local(),
            slot=place,
            mirror=await self._mirror_of(snapshot),
            config=self._config(snapshot.workspace),
            snapshot=snapshot,
            identity=self._complete(identity),
            environment=self._environment.allowed(),
            step=self._step,
        )
        await preparation.run()
        return place.checkout

    async def collect(self, slot: Path, snapshot: Snapshot, run_id: str) -> WorkspaceReport:
        """What the run in the slot changed; its unpushed work is in refs/agent-runs/<run id> from now on.

        Work that git cannot keep is set aside as it is, and the report's notes say so.
        """
        place = Slot(slot)
        given = place.given()
        identity = given.identity if given else self._complete(Identity(run_id=run_id))
        mirror = await self._mirror_of(snapshot)
        git = self._environment.local()
        collector = Collector(git, place, mirror, snapshot, identity, self.settings.diff_max_bytes)
        try:
            report = await collector.collect(run_id)
        except WorkspaceError as error:
            report = await asyncio.to_thread(set_aside, self.settings.state_dir, place, snapshot, run_id, str(error))
        if given:
            place.give(given.model_copy(update={"collected": True}))
        return report

    def read_paths(self, snapshot: Snapshot) -> list[Path]:
        """What an agent must be able to read, and must not be able to write, for its checkout to work."""
        return [snapshot.mirror / "objects"]

    async def kept(self) -> list[Kept]:
        """The unpushed work of earlier runs, newest first."""
        listings = [await list_kept(mirror) for mirror in await self._mirrors()]
        return sorted((kept for listing in listings for kept in listing), key=lambda kept: kept.kept_at, reverse=True)

    async def restore(self, run_id: str, target: Path) -> Path:
        """A new clone at `target` with that run's work; raises WorkspaceError if there is none."""
        found = [kept for kept in await self.kept() if kept.run_id == run_id]
        if not found:
            raise WorkspaceError(f"nothing is kept of run {run_id!r}")
        url = await self._environment.local().at(found[0].mirror).text("config", "remote.origin.url")
        return await restore_kept(self._environment.local(), found[0], url, target.absolute())

    async def drop_older_than(self, days: float) -> list[Kept]:
        """Forget the work that has been kept for longer; what was forgotten."""
        limit = datetime.now(UTC) - timedelta(days=days)
        dropped = []
        for mirror in await self._mirrors():
            old = [kept for kept in await list_kept(mirror) if kept.kept_at < limit]
            if old:
                await drop_kept(mirror, [kept.ref for kept in old])
            dropped += old
        return dropped

    def _config(self, name: str) -> WorkspaceConfig:
        if name not in self.names():
            raise WorkspaceError(f"workspace {name!r} not found; there are: {', '.join(self.names())}")
        return self.settings.workspaces.get(name, WorkspaceConfig())

    def _complete(self, identity: Identity) -> Identity:
        return identity.model_copy(
            update={
                "name": identity.name or self.settings.git_author_name,
                "email": identity.email or self.settings.git_author_email,
            }
        )

    async def _mirror(self, name: str) -> tuple[Mirror, Remote]:
        found_at, remote = self._remotes.get(name, (0.0, None))
        if remote is None or time.time() - found_at > self.settings.fetch_debounce_seconds:
            remote = await find_remote(self._environment.local(), await self._source(name))
            self._remotes[name] = (time.time(), remote)
        return self._open(name, remote), remote

    async def _mirror_of(self, snapshot: Snapshot) -> Mirror:
        mirror, _ = await self._mirror(snapshot.workspace)
        return mirror

    async def _mirrors(self) -> list[Mirror]:
        mirrors = [await self._mirror(name) for name in self.names()]
        return list({mirror.path: mirror for mirror, _ in mirrors}.values())

    def _open(self, name: str, remote: Remote) -> Mirror:
        limits = Limits(
            fetch_seconds=self.settings.clone_timeout_seconds,
            silence_seconds=self.settings.fetch_timeout_seconds,
            kept_work_max_bytes=self.settings.kept_work_max_bytes,
        )
        network = self._environment.network(self._config(name).credential_helper)
        return Mirror(self._environment.local(), network, self.settings.state_dir / "mirrors", remote, limits)

    async def _source(self, name: str) -> str:
        remote = self._config(name).remote
        if remote is None and name == DEFAULT:
            remote = self.settings.workspace_dir or (str(USUAL_PLACE) if USUAL_PLACE.is_dir() else None)
            if remote is None:
                remote = str(await make_starter(self._environment.local(), self.settings.state_dir / "workspace"))
        if remote is None:
            raise WorkspaceError(f"workspace {name!r} has no remote; set it in WORKSPACES")
        return remote

    async def _refresh(self, mirror: Mirror, not_before: float, allow_stale: bool) -> str | None:
        """Fetch; where that fails and an old state will do, why it is old."""
        attempts = mirror.attempts()
        if allow_stale and attempts.error and attempts.good_at and time.time() - attempts.tried_at < RECENT_SECONDS:
            return attempts.error
        try:
            await mirror.fetch(not_before)
        except GitError as error:
            if allow_stale and mirror.attempts().good_at:
                return str(error)
            raise
        return None

    async def _find(self, name: str, mirror: Mirror, ref: str, asked_at: float, *, ask: bool) -> Target:
        special = ref.startswith("refs/") and not ref.startswith(("refs/heads/", "refs/tags/"))
        if ask and special:
            await mirror.ask(ref)
        found = await mirror.find(ref)
        if found is None and ask:
            await mirror.fetch(asked_at)
            found = await mirror.find(ref)
        if found is None:
            branches = list(mirror.refs().branches)
            known = ", ".join(branches[:20]) + (", …" if len(branches) > 20 else "")
            raise WorkspaceError(f"ref {ref!r} not found in workspace {name!r}; branches: {known or 'none'}")
        return found

    async def _collect_orphan(self, slot: Slot) -> None:
        """A run whose service was killed has not been collected yet."""
        given = slot.given()
        if given is None or given.collected:
            return
        run_id = given.identity.run_id or f"slot-{slot.directory.name}-{int(time.time())}"
        await self.collect(slot.directory, given.snapshot, run_id)


def _usual_branch(mirror: Mirror, remote: Remote) -> str:
    """The branch that the operator's checkout is on, if the remote has it; else the remote's own."""
    refs = mirror.refs()
    branch = remote.branch if remote.branch in refs.branches else refs.default
    if branch is None:
        raise WorkspaceError(f"the remote of {mirror.path.stem} has no commit yet; push one")
    return branch
