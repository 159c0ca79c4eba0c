"""A slot's checkout: made ready at a commit, whatever the last run left there.

The slot has a git directory and an index of its own, out of the agent's reach. What they say of the files is true,
so one look over the tree finds everything that an agent touched, and nothing of its `.git` is ever read.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from agent.domain.checkout import Identity, Snapshot
from agent.domain.errors import WorkspaceError
from agent.git.git import Git, GitError, GitTimedOut
from agent.git.git_directory import CORE, GitDir
from agent.git.working_tree import changed_paths, gitlinks, signature, sweep
from agent.mirrors.mirror import Mirror
from agent.redaction.redactor import mask_url_credentials
from agent.settings import WorkspaceConfig
from agent.system.commands import Command, CommandFailed, TimeLimit
from agent.system.files import remove
from agent.system.openat import is_directory, open_directories
from agent.workspaces.clone_config import describe_clone
from agent.workspaces.slot_directory import SlotDirectory, SlotRecord, Step, ignore_step

NO_SPACE = "no space left"


@dataclass(frozen=True)
class CheckoutBuilder:
    """Makes one slot's checkout ready for one run."""

    git: Git
    slot: SlotDirectory
    mirror: Mirror
    config: WorkspaceConfig
    snapshot: Snapshot
    identity: Identity
    environment: Mapping[str, str]
    step: Step = ignore_step

    async def run(self) -> None:
        """The working tree is the commit's, and `.git` a new one; raises WorkspaceError."""
        given = self.slot.given()
        self.slot.take_back()
        self.step("taken back")
        await asyncio.to_thread(self._clear_the_way, given is not None and given.collected)
        self.step("cleared")
        await self._reset_or_heal()
        await asyncio.to_thread(self._give_git_dir)
        self.step("given")
        if self.config.post_checkout:
            await self._run_post_checkout()
        self.slot.give(SlotRecord(snapshot=self.snapshot, identity=self.identity))

    async def _reset_or_heal(self) -> None:
        try:
            await self._reset()
        except GitError as error:
            if is_no_fault_of_files(error):
                raise
            await asyncio.to_thread(self._forget)
            await self._reset_or_doubt()

    async def _reset_or_doubt(self) -> None:
        try:
            await self._reset()
        except GitError as error:
            if not is_no_fault_of_files(error):
                self.mirror.doubt()
            raise

    async def _reset(self) -> None:
        ours = self.git.at(self.slot.git_dir, self.slot.checkout, self.slot.index)
        # git looks for its files through links: first take away the links that an agent put where directories were
        await ours.run("clean", "-ffdxq", *(f"--exclude={pattern}" for pattern in self.config.keep))
        self.step("cleaned")
        await ours.run("checkout", "--quiet", "--force", "--detach", self.snapshot.commit)
        self.step("reset")
        # clean passes by what an agent put where submodules belong
        for path in await gitlinks(ours, self.slot.index):
            await asyncio.to_thread(remove, self.slot.checkout / path)
            (self.slot.checkout / path).mkdir()

    def _clear_the_way(self, collected: bool) -> None:
        """Nothing of an agent's or of an interrupted preparation stands in the way of git."""
        self.slot.note_baseline({})
        if not is_directory(self.slot.checkout) or self.slot.mirror_objects() != str(self.mirror.objects):
            remove(self.slot.checkout)
            remove(self.slot.index)
            self.slot.checkout.mkdir()
        self.slot.checkout.chmod(0o755)
        # collecting has swept, and nobody was there since
        repositories = self.slot.read_repositories() if collected else None
        for path in self._swept() if repositories is None else repositories:
            remove(self.slot.checkout / path / ".git")
        remove(self.slot.checkout / ".git")
        remove(self.slot.index.with_name("index.lock"))
        head = GitDir(head=self.snapshot.commit, alternates=self.mirror.objects, config={"core": CORE})
        head.write(self.slot.git_dir)

    def _swept(self) -> list[str]:
        """The repositories in the checkout, which is a new one if it cannot be swept."""
        try:
            return sweep(self.slot.checkout)
        except (WorkspaceError, OSError):
            remove(self.slot.checkout)
            remove(self.slot.index)
            self.slot.checkout.mkdir()
            return []

    def _forget(self) -> None:
        """Open what was closed to us, and forget what was known of the files."""
        open_directories(self.slot.checkout)
        remove(self.slot.index)
        remove(self.slot.index.with_name("index.lock"))

    def _give_git_dir(self) -> None:
        dot_git = describe_clone(self.snapshot, self.mirror, self.config, self.identity)
        self.slot.note_refs(dot_git.packed_refs)
        target = self.slot.checkout / ".git"
        dot_git.write(target)
        shutil.copyfile(self.slot.index, target / "index")

    async def _run_post_checkout(self) -> None:
        """The operator's own command, with the operator's own environment, e.g. `git-crypt unlock`."""
        bound = TimeLimit(self.config.post_checkout_timeout_seconds)
        try:
            await Command(self.config.post_checkout, self.environment, self.slot.checkout, bound).run()
        except (CommandFailed, OSError) as failure:
            raise WorkspaceError(f"post_checkout failed: {_reason(failure)}") from failure
        # what it changed is not the agent's work
        ours = self.git.at(self.slot.git_dir, self.slot.checkout, self.slot.index)
        changed = await changed_paths(ours, self.config.keep)
        self.slot.note_baseline({path: signature(self.slot.checkout / path) for path in changed})


def is_no_fault_of_files(error: GitError) -> bool:
    """Whether neither the checkout nor the mirror is to blame."""
    return NO_SPACE in error.stderr_tail.lower() or isinstance(error, GitTimedOut)


def _reason(failure: CommandFailed | OSError) -> str:
    if isinstance(failure, OSError):
        return str(failure)
    how = "timed out" if failure.exit_status is None else f"exit status {failure.exit_status}"
    return mask_url_credentials(f"{how}: {' '.join(failure.stderr.split())[-300:]}")
