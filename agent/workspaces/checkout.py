"""Brings the checkout of a slot to a commit, whatever the previous run left in it.

The slot has a git directory and an index that the agent cannot reach. They are right about the files, so one look
over the tree finds everything that an agent touched, and the agent's own `.git` is never read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.domain.checkout import Identity, Snapshot
from agent.domain.errors import WorkspaceError
from agent.git.git import OUT_OF_MEMORY, Git, GitError, GitTimedOut
from agent.git.git_directory import CORE, GitDir
from agent.git.inert import acting_paths, is_instruction
from agent.git.working_tree import changed_paths, clear_special_files, file_signature, gitlinks
from agent.mirrors.mirror import Mirror
from agent.redaction.redactor import mask_url_credentials
from agent.settings import WorkspaceConfig
from agent.system.commands import Command, CommandFailed, TimeLimit
from agent.system.concurrency import run_to_completion
from agent.system.files import remove
from agent.system.openat import is_directory, open_directories
from agent.workspaces.clone_config import describe_clone
from agent.workspaces.slot_directory import SlotDirectory, SlotRecord, Step, ignore_step

NO_SPACE = "no space left"
MAX_TREE_BYTES = 64 * 1024 * 1024
"""The most that the paths of a stranger's commit may take."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckoutBuilder:
    """Builds the checkout of one slot for one run; made for each run."""

    git: Git
    slot: SlotDirectory
    mirror: Mirror
    config: WorkspaceConfig
    snapshot: Snapshot
    identity: Identity
    environment: Mapping[str, str]
    is_trusted: bool
    step: Step = ignore_step

    async def build(self) -> None:
        """Bring the working tree to the commit and write a new `.git`. Raises WorkspaceError."""
        record = self.slot.record()
        self.slot.delete_record()
        self.step("taken back")
        await _in_thread(self._clear_the_way, record is not None and record.collected)
        self.step("cleared")
        await self._check_size()
        await self._reset_or_heal(self.config.keep if record is not None and self._has_same_trust(record) else [])
        await _in_thread(self._give_git_dir)
        self.step("given")
        if self.config.post_checkout and self.is_trusted:
            await self._run_post_checkout()
        elif self.config.post_checkout:
            _log.warning("post_checkout is not run for ref %r, which is not the workspace's own", self.snapshot.ref)
        self.slot.write_record(SlotRecord(snapshot=self.snapshot, identity=self.identity, began_at=time.time()))

    def _has_same_trust(self, record: SlotRecord) -> bool:
        """True if what the last run left may act in this one: both are of the workspace's own ref, or of one ref."""
        last = record.snapshot
        if last.workspace != self.snapshot.workspace or last.is_own_ref != self.snapshot.is_own_ref:
            return False
        return last.is_own_ref or last.ref == self.snapshot.ref

    async def _check_size(self) -> None:
        """Raise WorkspaceError for a stranger's commit with so many files that the disk would not hold them."""
        if self.is_trusted:
            return
        paths = await self.git.at(self.slot.git_dir).run(
            *("ls-tree", "-r", "--name-only", "-z", self.snapshot.commit), limit=MAX_TREE_BYTES
        )
        if len(paths) >= MAX_TREE_BYTES:
            raise WorkspaceError(f"commit {self.snapshot.commit[:12]} has more files than can be checked out")

    async def _reset_or_heal(self, keep: list[str]) -> None:
        try:
            await self._reset(keep)
        except GitError as error:
            if is_host_error(error):
                raise
            await _in_thread(self._forget)
            await self._reset_or_doubt(keep)

    async def _reset_or_doubt(self, keep: list[str]) -> None:
        try:
            await self._reset(keep)
        except GitError as error:
            if not is_host_error(error):
                self.mirror.mark_suspect()
            raise

    async def _reset(self, keep: list[str]) -> None:
        ours = self.git.at(self.slot.git_dir, self.slot.checkout, self.slot.index)
        # git follows links to its files: first remove the links that an agent put where directories were
        await ours.run("clean", "-ffdxq", *(f"--exclude={pattern}" for pattern in keep))
        if keep:
            listing = await ours.run("ls-files", "-z", "--others")
            await _in_thread(self._disarm, [os.fsdecode(name) for name in listing.split(b"\0") if name])
        self.step("cleaned")
        await ours.run("checkout", "--quiet", "--force", "--detach", self.snapshot.commit)
        self.step("reset")
        # clean leaves alone what an agent put where submodules belong
        for path in await gitlinks(ours, self.slot.index):
            await _in_thread(remove, self.slot.checkout / path)
            (self.slot.checkout / path).mkdir()

    def _disarm(self, kept: list[str]) -> None:
        """Remove what is no cache: instructions and settings of the CLI, links out of the checkout, repositories."""
        acting = acting_paths(self.slot.checkout, kept)
        for path in {*acting, *(path for path in kept if is_instruction(path))}:
            remove(self.slot.checkout / path)

    def _clear_the_way(self, collected: bool) -> None:
        """Remove what an agent or an interrupted build left where git would stumble over it."""
        self.slot.write_baseline({})
        if not is_directory(self.slot.checkout) or self.slot.mirror_objects() != str(self.mirror.objects):
            remove(self.slot.checkout)
            remove(self.slot.index)
            self.slot.checkout.mkdir()
        self.slot.checkout.chmod(0o755)
        # collecting has already listed them, and no agent ran since
        repositories = self.slot.read_repositories() if collected else None
        for path in self._swept() if repositories is None else repositories:
            remove(self.slot.checkout / path / ".git")
        remove(self.slot.checkout / ".git")
        remove(self.slot.index.with_name("index.lock"))
        head = GitDir(head=self.snapshot.commit, alternates=(self.mirror.objects,), config={"core": CORE})
        head.write(self.slot.git_dir)

    def _swept(self) -> list[str]:
        """Return the repositories in the checkout; a checkout that cannot be read is replaced by an empty one."""
        try:
            return clear_special_files(self.slot.checkout)
        except (WorkspaceError, OSError):
            remove(self.slot.checkout)
            remove(self.slot.index)
            self.slot.checkout.mkdir()
            return []

    def _forget(self) -> None:
        """Make every directory accessible, and discard the index."""
        open_directories(self.slot.checkout)
        remove(self.slot.index)
        remove(self.slot.index.with_name("index.lock"))

    def _give_git_dir(self) -> None:
        dot_git = describe_clone(self.snapshot, self.mirror, self.config, self.identity)
        self.slot.write_refs(dot_git.packed_refs)
        target = self.slot.checkout / ".git"
        dot_git.write(target)
        shutil.copyfile(self.slot.index, target / "index")

    async def _run_post_checkout(self) -> None:
        """Run the operator's command, e.g. `git-crypt unlock`, with the operator's environment."""
        bound = TimeLimit(self.config.post_checkout_timeout_seconds)
        try:
            await Command(self.config.post_checkout, self.environment, self.slot.checkout, bound).run()
        except (CommandFailed, OSError) as failure:
            raise WorkspaceError(f"post_checkout failed: {_reason(failure)}") from failure
        # what it changed is not the agent's work
        ours = self.git.at(self.slot.git_dir, self.slot.checkout, self.slot.index)
        changed = await changed_paths(ours, self.config.keep)
        self.slot.write_baseline({path: file_signature(self.slot.checkout / path) for path in changed})


async def _in_thread(step: Callable[..., None], *arguments: object) -> None:
    """Run a step that writes into the slot; a cancelled run waits for it, or it would write into the next run's."""
    await run_to_completion(asyncio.to_thread(step, *arguments))


def is_host_error(error: GitError) -> bool:
    """True if the host is at fault (disk space, memory, time) and neither the checkout nor the mirror."""
    said = error.stderr_tail.lower()
    return NO_SPACE in said or OUT_OF_MEMORY in said or isinstance(error, GitTimedOut)


def _reason(failure: CommandFailed | OSError) -> str:
    if isinstance(failure, OSError):
        return str(failure)
    how = "timed out" if failure.exit_status is None else f"exit status {failure.exit_status}"
    return mask_url_credentials(f"{how}: {' '.join(failure.stderr.split())[-300:]}")
