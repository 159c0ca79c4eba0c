"""A bare mirror of one repository: fetches it and shares its objects with all checkouts.

Nothing here prunes objects; `agent.mirrors.garbage_collection` does, and spares those that slots read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from agent.domain.values import Frozen
from agent.git.git import Git, GitError
from agent.git.git_directory import quote_config_value
from agent.git.refs import HEAD, LISTING, REQUESTED, Refs, Target, default_branch, read_mirror_refs
from agent.git.remote import Remote
from agent.mirrors.fetch_state import FetchState
from agent.mirrors.lost_commits import LostCommits
from agent.mirrors.repair import clear_half_packs, clear_locks, copy_kept_work, is_remote_failure, is_sound, retire
from agent.system.commands import TimeLimit
from agent.system.files import remove, write

LOCK_POLL_SECONDS = 0.01
NO_SUCH_REF = ("couldn't find remote ref", "not our ref", "unadvertised object")
NO_HEAD = "couldn't find remote ref HEAD"
REFSPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
FETCH = (
    *("fetch", "--progress", "--prune", "--no-tags", "--no-write-fetch-head", "--no-show-forced-updates"),
    *("--no-auto-maintenance", "--no-recurse-submodules", "--update-shallow", "origin"),
)
CONFIG = """\
[core]
\trepositoryformatversion = 0
\tbare = true
\thooksPath = /dev/null
\tlogAllRefUpdates = false
[gc]
\tauto = 0
[receive]
\tfsckObjects = true
\tautogc = false
\tunpackLimit = 1
\tmaxInputSize = {kept_work_max_bytes}
\tshallowUpdate = true
[remote "origin"]
\turl = {url}
"""


class Mirror:
    """The mirror of `remote` under `directory`; any number of tasks and processes may use it at once."""

    def __init__(self, git: Git, network: Git, directory: Path, remote: Remote, limits: FetchLimits) -> None:
        self.remote = remote
        self.path = directory / f"{remote.key}.git"
        self.limits = limits
        self.git = git.at(self.path)
        self._network = network.at(self.path)
        self.lost = LostCommits(directory / f"{remote.key}.lost")
        self._state_file = directory / f"{remote.key}.json"
        self._listing = directory / f"{remote.key}.refs"

    @property
    def objects(self) -> Path:
        """Return the directory of the objects that checkouts borrow."""
        return self.path / "objects"

    def fetch_state(self) -> FetchState:
        """Return when the mirror was last fetched and how the last attempt failed."""
        try:
            return FetchState.model_validate_json(self._state_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return FetchState()

    def refs(self) -> Refs:
        """Return the refs as the last successful fetch left them; none if there was none."""
        try:
            found = self._listing.stat()
        except FileNotFoundError:
            return Refs({}, {})
        return _read_listing(self._listing, found.st_mtime_ns, found.st_ino)

    def shallow(self) -> bytes:
        """Return the mirror's file `shallow`: the commits where the remote's history ends; empty if it is whole."""
        try:
            return (self.path / "shallow").read_bytes()
        except FileNotFoundError:
            return b""

    async def fetch(self, not_before: float) -> None:
        """Fetch, unless a fetch that began at `not_before` or later succeeded. Raises GitError.

        Callers at the same time share one attempt and its failure.
        """
        if self._is_good_since(not_before):
            return
        async with self.locked():
            attempts = self.fetch_state()
            if self._is_good_since(not_before):
                return
            if attempts.error and not_before <= attempts.tried_at <= time.time():
                raise attempts.failure()
            await self._attempt(attempts)

    async def find(self, ref: str) -> Target | None:
        """Return the target of a ref or of a commit name; None if the mirror does not have it."""
        if (target := self.refs().find(ref)) is not None:
            return target
        if len(ref) < 7 or set(ref) - set("0123456789abcdef"):
            return None
        try:
            return Target(
                await self.git.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
            )
        except GitError:
            return None

    async def fetch_ref(self, ref: str) -> None:
        """Fetch a ref that no branch or tag names, such as refs/pull/1/head or a commit, if there is one.

        Raises GitError.
        """
        async with self.locked():
            try:
                await self._bounded(self._network).run(*FETCH, f"+{ref}:{REQUESTED}{ref}")
            except GitError as error:
                if not any(sign in error.stderr_tail for sign in NO_SUCH_REF):
                    raise
            await self._note_refs(self.path)

    def mark_suspect(self) -> None:
        """Make the next fetch check all objects and rebuild the mirror if one is damaged."""
        write(
            self._state_file, self.fetch_state().model_copy(update={"good_at": 0.0, "doubted": True}).model_dump_json()
        )

    @asynccontextmanager
    async def locked(self, purpose: str = "fetch") -> AsyncIterator[None]:
        """Hold the mirror's lock of that name, across tasks and processes."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(self.path.with_suffix(f".{purpose}.lock"), thread_local=False)
        while True:
            try:
                lock.acquire(blocking=False)
                break
            except Timeout:
                await asyncio.sleep(LOCK_POLL_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _is_good_since(self, moment: float) -> bool:
        # a clock that was set back must not keep the mirror from fetching
        return moment <= self.fetch_state().good_at <= time.time() and self._listing.exists()

    async def _attempt(self, before: FetchState) -> None:
        began = time.time()
        try:
            await self._fetch_or_repair(doubted=before.doubted)
        except GitError as error:
            write(self._state_file, before.after(error, began).model_dump_json())
            raise
        write(self._state_file, FetchState(tried_at=began, good_at=began).model_dump_json())

    async def _fetch_or_repair(self, *, doubted: bool) -> None:
        if not (self.path / "HEAD").exists() or (doubted and not await is_sound(self.git)):
            await self._rebuild()
            return
        try:
            await self._fetch(self._network)
        except GitError as error:
            await asyncio.to_thread(clear_half_packs, self.path)
            if not await asyncio.to_thread(clear_locks, self.path) and is_remote_failure(error):
                raise
            await self._fetch_again()

    async def _fetch_again(self) -> None:
        """Fetch again after stale locks were removed, or after a fetch that a killed process left running."""
        try:
            await self._fetch(self._network)
        except GitError as error:
            if is_remote_failure(error) or await is_sound(self.git):
                raise
            await self._rebuild()

    async def _rebuild(self) -> None:
        """Build a new mirror from the remote, copy the kept work of the old one, and only then replace the old one."""
        new = self.path.with_name(f"{self.path.name}.new")
        await asyncio.to_thread(remove, new)
        new.mkdir(parents=True, mode=0o700)
        await self.git.at(new).run("init", "--quiet", "--bare", "--template=")
        await self._fetch(self._network.at(new), new)
        async with self.locked("keep"):
            if self.path.exists():
                await copy_kept_work(self.git, self.path, new)
                retire(self.path)
            new.rename(self.path)

    async def _fetch(self, network: Git, path: Path | None = None) -> None:
        self._configure(path or self.path)
        bounded = self._bounded(network)
        try:
            await bounded.run(*FETCH, *REFSPECS, f"+HEAD:{HEAD}")
        except GitError as error:
            if NO_HEAD not in error.stderr_tail:
                raise
            await bounded.run(*FETCH, *REFSPECS)
        await self._note_refs(path or self.path)

    def _bounded(self, network: Git) -> Git:
        # what a power cut takes from a mirror the remote still has; kept work is written with care
        hasty = network.with_environment({}, {"core.fsync": "none"})
        return hasty.with_time_limit(TimeLimit(self.limits.fetch_seconds, self.limits.silence_seconds))

    def _configure(self, path: Path) -> None:
        text = CONFIG.format(
            url=quote_config_value(self.remote.url), kept_work_max_bytes=self.limits.kept_work_max_bytes
        )
        config = path / "config"
        if not config.exists() or config.read_text() != text:
            write(config, text)

    async def _note_refs(self, path: Path) -> None:
        listing = await self.git.at(path).text(*LISTING)
        before, after = self.refs(), read_mirror_refs(f"\n{listing}")
        self.lost.record(before, after)
        default = default_branch(after, before.default)
        write(self._listing, f"{default or ''}\n{listing}\n")


@lru_cache(maxsize=8)
def _read_listing(path: Path, mtime_ns: int, inode: int) -> Refs:
    """Parse the file once for each time it is written."""
    return read_mirror_refs(path.read_text())


class FetchLimits(Frozen):
    """Limits of fetches and of kept work, from the settings."""

    fetch_seconds: float
    silence_seconds: float
    kept_work_max_bytes: int
