"""A slot's checkout: made ready at a commit, whatever the last run left there.

The slot has a git directory and an index of its own, out of the agent's reach. What they say of the files is true,
so one look over the tree finds everything that an agent touched, and nothing of its `.git` is ever read.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.errors import WorkspaceError
from agent.files import is_directory, open_directories, remove
from agent.git import Git, GitError, GitTimedOut
from agent.gitdir import CORE, GitDir, describe_checkout
from agent.mirror import Mirror
from agent.places import Given, Slot
from agent.program import Bound, Program, ProgramFailed
from agent.redaction import redact
from agent.settings import WorkspaceConfig
from agent.snapshot import Identity, Snapshot
from agent.worktree import changed_paths, signature

NO_SPACE = "no space left"
GITLINK_MODE = b"\x00\x00\xe0\x00"

Step = Callable[[str], None]


def no_step(name: str) -> None:
    """Nothing happens between the steps, but in tests."""


@dataclass(frozen=True)
class Preparation:
    """Makes one slot's checkout ready for one run."""

    git: Git
    slot: Slot
    mirror: Mirror
    config: WorkspaceConfig
    snapshot: Snapshot
    identity: Identity
    environment: Mapping[str, str]
    step: Step = no_step

    async def run(self) -> None:
        """The working tree is the commit's, and `.git` a new one; raises WorkspaceError."""
        await asyncio.to_thread(self._clear_the_way)
        self.step("cleared")
        await self._reset_or_heal()
        await asyncio.to_thread(self._give_git_dir)
        self.step("given")
        if self.config.post_checkout:
            await self._run_post_checkout()
        self.slot.give(Given(snapshot=self.snapshot, identity=self.identity))

    async def _reset_or_heal(self) -> None:
        try:
            await self._reset()
        except GitError as error:
            if NO_SPACE in error.stderr_tail.lower() or isinstance(error, GitTimedOut):
                raise
            await asyncio.to_thread(self._forget)
            await self._reset()

    async def _reset(self) -> None:
        ours = self.git.at(self.slot.git_dir, self.slot.checkout, self.slot.index)
        await ours.run("checkout", "--quiet", "--force", "--detach", self.snapshot.commit)
        self.step("reset")
        await ours.run("clean", "-ffdxq", *(f"--exclude={pattern}" for pattern in self.config.keep))
        self.step("cleaned")
        await _empty_submodules(ours, self.slot)

    def _clear_the_way(self) -> None:
        """Nothing of an agent's or of an interrupted preparation stands in the way of git."""
        self.slot.take_back()
        self.slot.note_baseline({})
        if not is_directory(self.slot.checkout):
            remove(self.slot.checkout)
            remove(self.slot.index)
            self.slot.checkout.mkdir()
        self.slot.checkout.chmod(0o755)
        remove(self.slot.checkout / ".git")
        remove(self.slot.index.with_name("index.lock"))
        head = GitDir(head=self.snapshot.commit, alternates=self.mirror.objects, config={"core": CORE})
        head.write(self.slot.git_dir)

    def _forget(self) -> None:
        """Open what was closed to us, and forget what was known of the files."""
        open_directories(self.slot.checkout)
        remove(self.slot.index)
        remove(self.slot.index.with_name("index.lock"))

    def _give_git_dir(self) -> None:
        user = {"name": self.identity.name or "", "email": self.identity.email or ""}
        dot_git = describe_checkout(self.snapshot, self.mirror, user, self.identity.all_trailers)
        self.slot.note_refs(dot_git.packed_refs)
        target = self.slot.checkout / ".git"
        dot_git.write(target)
        shutil.copyfile(self.slot.index, target / "index")

    async def _run_post_checkout(self) -> None:
        """The operator's own command, with the operator's own environment, e.g. `git-crypt unlock`."""
        bound = Bound(self.config.post_checkout_timeout_seconds)
        try:
            await Program(self.config.post_checkout, self.environment, self.slot.checkout, bound).run()
        except (ProgramFailed, OSError) as failure:
            raise WorkspaceError(f"post_checkout failed: {_reason(failure)}") from failure
        # what it changed is not the agent's work
        ours = self.git.at(self.slot.git_dir, self.slot.checkout, self.slot.index)
        changed = await changed_paths(ours)
        self.slot.note_baseline({path: signature(self.slot.checkout / path) for path in changed})


def _reason(failure: ProgramFailed | OSError) -> str:
    if isinstance(failure, OSError):
        return str(failure)
    how = "timed out" if failure.exit_status is None else f"exit status {failure.exit_status}"
    return redact(f"{how}: {' '.join(failure.stderr.split())[-300:]}")


async def _empty_submodules(ours: Git, slot: Slot) -> None:
    """What an agent put where submodules belong is not in the index, and clean passes it by."""
    index = await asyncio.to_thread(slot.index.read_bytes)
    if GITLINK_MODE not in index:
        return
    listing = await ours.run("ls-files", "--stage", "-z")
    for entry in listing.split(b"\0"):
        if entry.startswith(b"160000 "):
            directory = slot.checkout / entry.split(b"\t", 1)[1].decode(errors="surrogateescape")
            await asyncio.to_thread(remove, directory)
            directory.mkdir()
