"""Finds the commit that a run starts from, and if its ref is the workspace's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.domain.errors import WorkspaceError
from agent.git.refs import BRANCHES, COMMIT, Refs, Target, is_not_mirrored, requested_name
from agent.mirrors.mirror import Mirror
from agent.mirrors.ref_lookup import find_default, find_target


@dataclass(frozen=True)
class FoundRef:
    """The target of a ref as it is shown to callers; `is_own`: it is what runs of the workspace start from unasked."""

    ref: str
    target: Target
    is_own: bool
    stale_reason: str | None


@dataclass(frozen=True)
class RefFinder:
    """Finds refs in the mirror of one workspace for one sync, which began at `asked_at`."""

    workspace: str
    mirror: Mirror
    asked_at: float
    stale_allowed: bool

    @property
    def _wait_seconds(self) -> float | None:
        """How long to wait for the mirror: who takes a stale state does not wait for a repack of it."""
        return self.mirror.limits.silence_seconds if self.stale_allowed else None

    async def find(self, wanted: str | None, configured: str | None, stale_reason: str | None) -> FoundRef:
        """Return the ref that was asked for, or the workspace's own; `stale_reason` of a fetch that failed.

        Raises WorkspaceError if there is no such ref, or no ref of the workspace's own.
        """
        refs = await self.mirror.load()
        own_name = configured or self._operators_branch(refs)
        if wanted is None and own_name is None:
            target = self._default(refs)
            return FoundRef(target.branch or target.commit, target, True, stale_reason)
        asked = wanted or own_name or ""
        found = await self._ask(asked, stale_reason)
        if wanted is None:
            return replace(found, ref=configured or found.target.branch or found.ref, is_own=True)
        own = await find_target(self.mirror, own_name) if own_name else find_default(await self.mirror.load())
        return replace(found, is_own=own is not None and found.target.is_same_ref(own))

    def _operators_branch(self, refs: Refs) -> str | None:
        """Return the full name of the branch that the operator's checkout is on, if the remote has it."""
        name = f"{BRANCHES}{self.mirror.remote.branch}"
        return name if self.mirror.remote.branch and refs.object_of(name) else None

    def _default(self, refs: Refs) -> Target:
        if (target := find_default(refs)) is not None:
            return target
        if branches := refs.branches(20):
            problem = f"the HEAD of the remote of workspace {self.workspace!r} is on no branch that is there"
            raise WorkspaceError(f"{problem}; branches: {', '.join(branches)}", "set the workspace's `ref`")
        raise WorkspaceError(f"the remote of {self.mirror.path.stem} has no commit yet", "push one")

    async def _ask(self, ref: str, stale_reason: str | None) -> FoundRef:
        """Return the ref's target; the remote is asked for what its branches and tags do not have."""
        if is_not_mirrored(ref) and stale_reason is None:
            stale_reason = await self._fetch_ref(ref)
        found = await find_target(self.mirror, ref)
        if found is None and stale_reason is None:
            await self.mirror.fetch(self.asked_at, self._wait_seconds)
            found = await find_target(self.mirror, ref)
        if found is None and stale_reason is None:
            found = await self._fetch_unnamed(ref)
        if found is None:
            branches = (await self.mirror.load()).branches(21)
            known = ", ".join(branches[:20]) + (", …" if len(branches) > 20 else "")
            where = f"workspace {self.workspace!r}"
            raise WorkspaceError(f"ref {ref!r} not found in {where}; branches: {known or 'none'}")
        return FoundRef(ref, found, False, stale_reason)

    async def _fetch_ref(self, ref: str) -> str | None:
        """Fetch a ref that is not mirrored; return why its last known state must do if that failed."""
        try:
            await self.mirror.fetch_ref(ref, self._wait_seconds)
        except WorkspaceError as error:
            known = (await self.mirror.load()).object_of(requested_name(ref))
            if not self.stale_allowed or known is None:
                raise
            return str(error)
        return None

    async def _fetch_unnamed(self, ref: str) -> Target | None:
        """Fetch a commit that no branch has, or `pull/7/head`, which git reads as refs/pull/7/head."""
        name = ref.lower() if COMMIT.fullmatch(ref) else f"refs/{ref}"
        if name.startswith("refs/") and "/" not in ref:
            return None
        await self.mirror.fetch_ref(name, self._wait_seconds)
        return await find_target(self.mirror, name)
