"""Decides which of the commits in a run's checkout the run made, and which of those the remote does not have.

The remote decides what was pushed. The run's trailer and identity, and then the checkout's reflogs, decide what is
the run's; where nothing says that a commit is somebody else's, it is the run's, so that no work is lost.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from agent.domain.checkout import RUN_TRAILER, Identity
from agent.domain.errors import WorkspaceError
from agent.git.git import Git, GitError
from agent.mirrors.mirror import Mirror
from agent.system.files import write
from agent.workspaces.leftover_work import LeftoverWork
from agent.workspaces.slot_directory import SlotDirectory

MAX_COMMITS = 5_000
MAX_FETCHED_REFS = 20
MAX_REPLACED = 1_000
# a slot is not held for as long as a repack may take: what cannot be verified is kept
LOCK_SECONDS = 60.0
FORMAT = f"--format=%H%x00%ce%x00%ct%x00%(trailers:key={RUN_TRAILER},valueonly,separator=%x2C)"


@dataclass(frozen=True)
class OwnCommits:
    """The commits of one run, oldest first, and those of them that the remote does not have."""

    made: list[str]
    unpushed: frozenset[str] = frozenset()

    def to_keep(self, leftover: LeftoverWork) -> list[str]:
        """Return the commits that must be kept besides HEAD, as the agent named them."""
        return [sha for sha in dict.fromkeys(leftover.named.values()) if sha in self.unpushed]


@dataclass(frozen=True)
class CommitFinder:
    """Finds the commits of one run; made by the collector."""

    slot: SlotDirectory
    mirror: Mirror
    identity: Identity
    began_at: float | None

    async def find(self, leftover: LeftoverWork) -> OwnCommits:
        """Return the run's commits; notes say what could not be verified. Raises GitError."""
        history = leftover.history
        if leftover.commits == [leftover.base] and not history.made and not history.pushed:
            return OwnCommits([])
        try:
            await self.mirror.fetch(time.time(), LOCK_SECONDS)
        except WorkspaceError as error:
            leftover.notes.append(f"what the agent pushed could not be verified: {error}")
        unpushed = await self._unpushed(leftover)
        own: dict[str, bool] = {}
        published = await self._published(leftover)
        facts = await self._facts(leftover, published)
        for sha, email, committed_at, runs in facts:
            own[sha] = self._is_marked(leftover, sha, email, committed_at, runs)
        doubtful = {sha for sha in unpushed if not own.get(sha)}
        await self._read_foundations(leftover)
        elsewhere = leftover.history.others
        if unpushed or elsewhere - await self._in_mirror(sorted(elsewhere)):
            unpushed -= await self._on_other_refs(leftover, unpushed)
        if doubtful & unpushed:
            old = {sha for sha, _, committed_at, _ in facts if self._is_older(committed_at)}
            others = old | await self._reachable(leftover.git, leftover.history.fetched, leftover)
            own.update(dict.fromkeys((doubtful & unpushed) - others, True))
        made = [sha for sha, *_ in reversed(facts) if own[sha]]
        return OwnCommits(made, frozenset(unpushed.intersection(made)))

    async def _unpushed(self, leftover: LeftoverWork) -> set[str]:
        """Return the commits that no branch or tag of the remote has."""
        await self._compare_with((await self.mirror.load()).packed())
        listing = await leftover.git.run(
            *("rev-list", "--ignore-missing", f"--max-count={MAX_COMMITS}", "--stdin", "--not", "--all"),
            stdin=_lines([*leftover.commits, f"^{leftover.base}"]),
        )
        # an agent can falsify its own objects, and with them what is an ancestor of what, but not the mirror's
        there = await self._in_mirror(leftover.commits)
        missing = set(leftover.commits) - there - {leftover.base}
        more = await self._not_on_remote(there) - {leftover.base}
        return {*listing.decode().split(), *missing, *more}

    async def _published(self, leftover: LeftoverWork) -> list[str]:
        """Return the commits that the run made or pushed, and the remote has, whatever the checkout still names."""
        there = await self._in_mirror(sorted(leftover.history.made | leftover.history.pushed))
        return sorted(there - await self._not_on_remote(there))

    async def _not_on_remote(self, commits: set[str]) -> set[str]:
        """Return the commits, and those below them, that no ref of the mirror has; all of them are in the mirror."""
        if not commits:
            return set()
        listing = await self.mirror.git.run(
            *("rev-list", f"--max-count={MAX_COMMITS}", "--stdin", "--not", "--all"), stdin=_lines(sorted(commits))
        )
        return set(listing.decode().split())

    async def _facts(self, leftover: LeftoverWork, published: list[str]) -> list[tuple[str, str, int, list[str]]]:
        """Return commit, committer, time and runs of each commit that is new since the run began, newest first."""
        await self._compare_with(self.slot.read_refs())
        listing = await leftover.git.run(
            *("log", "-z", "--ignore-missing", "--topo-order", f"--max-count={MAX_COMMITS}", FORMAT, "--stdin"),
            *("--not", "--all"),
            stdin=_lines([*leftover.commits, *published, f"^{leftover.base}"]),
        )
        fields = listing.decode(errors="replace").split("\0")
        entries = zip(*(fields[start::4] for start in range(4)), strict=False)
        return [(sha, email, int(when or 0), runs.split(",") if runs else []) for sha, email, when, runs in entries]

    def _is_marked(self, leftover: LeftoverWork, sha: str, email: str, committed_at: int, runs: list[str]) -> bool:
        """True if the commit itself, or the reflog of where it was made, says that it is the run's."""
        if self.identity.run_id in runs:
            return True
        if self._is_older(committed_at):
            return False
        return sha in leftover.history.made or (not runs and email == self.identity.email)

    def _is_older(self, committed_at: int) -> bool:
        return self.began_at is not None and committed_at < int(self.began_at)

    async def _on_other_refs(self, leftover: LeftoverWork, unpushed: set[str]) -> set[str]:
        """Return the commits that other refs of the remote have, such as those of pull requests.

        Those that the run itself pushed there, or looked at, are fetched into the mirror.
        """
        try:
            advertised = await self.mirror.advertised()
        except GitError as error:
            leftover.notes.append(f"what the agent pushed could not be verified: {error}")
            return set()
        pushed = unpushed | leftover.history.made
        known = pushed | leftover.history.others
        tips = [sha for sha in advertised if sha in known]
        for sha in tips[:MAX_FETCHED_REFS]:
            if not await self._in_mirror([sha]):
                # without it less of the run's work can be compared, and more is told
                with suppress(WorkspaceError):
                    await self.mirror.fetch_ref(advertised[sha], LOCK_SECONDS)
        return await self._reachable(leftover.git, {sha for sha in tips if sha in pushed}, leftover)

    async def _reachable(self, git: Git, tips: set[str], leftover: LeftoverWork) -> set[str]:
        """Return the commits that those have and the remote had not when the run began."""
        if not tips:
            return set()
        await self._compare_with(self.slot.read_refs())
        listing = await git.run(
            *("rev-list", "--ignore-missing", f"--max-count={MAX_COMMITS}", "--stdin", "--not", "--all"),
            stdin=_lines([*sorted(tips), f"^{leftover.base}"]),
        )
        return set(listing.decode().split())

    async def _compare_with(self, packed_refs: bytes) -> None:
        """Make `--all` mean those refs in the git directory of the leftover work."""
        await asyncio.to_thread(write, self.slot.work / "packed-refs", packed_refs)

    async def _read_foundations(self, leftover: LeftoverWork) -> None:
        """Find what the commits stood on that the run made and then replaced, e.g. by a rebase."""
        replaced = leftover.history.replaced_own
        if not replaced:
            return
        listing = await leftover.git.text(
            *("rev-list", "--ignore-missing", "--parents", f"--max-count={MAX_COMMITS}", "--stdin"),
            stdin=_lines([*replaced[:MAX_REPLACED], f"^{leftover.base}"]),
        )
        entries = [line.split(" ") for line in listing.split("\n") if line]
        leftover.history.note_parents({sha: parents for sha, *parents in entries})

    async def _in_mirror(self, commits: list[str]) -> set[str]:
        if not commits:
            return set()
        answers = await self.mirror.git.run("cat-file", "--batch-check=%(objectname)", stdin=_lines(commits))
        return {line for line in answers.decode().splitlines() if not line.endswith("missing")}


def _lines(entries: list[str]) -> bytes:
    return "".join(f"{entry}\n" for entry in entries).encode()
