"""A bare mirror of one repository: fetches it and shares its objects with all checkouts.

Nothing here prunes objects; `agent.mirrors.garbage_collection` does, and spares those that slots read.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import ValidationError

from agent.domain.values import Frozen
from agent.git.git import Git, GitError
from agent.git.git_directory import quote_config_value
from agent.git.refs import HEAD, LISTING, REQUESTED, Refs, default_branch, requested_name
from agent.git.remote import Remote
from agent.mirrors.fetch_state import FetchState
from agent.mirrors.kept_repository import KeptRepository
from agent.mirrors.lost_commits import LostCommits
from agent.mirrors.mirror_lock import hold_lock
from agent.mirrors.repair import clear_half_packs, clear_locks, is_remote_failure, is_sound, retire, retired_path
from agent.system.commands import TimeLimit
from agent.system.concurrency import run_to_completion
from agent.system.files import remove, write

REF_BYTES_PER_SECOND = 500_000
MAX_LISTINGS = 8
ADVERTISED_SECONDS = 60.0
ADVERTISED_BYTES = 128 * 1024 * 1024
NO_SUCH_REF = ("couldn't find remote ref", "not our ref", "unadvertised object")
NO_HEAD = "couldn't find remote ref HEAD"
SYMBOLIC_HEAD = re.compile(r"^ref: (\S+)\tHEAD$", re.MULTILINE)
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
        kept = directory.with_name("kept") / self.path.name
        self.kept = KeptRepository(git, kept, self.path, limits.kept_work_max_bytes, limits.fetch_seconds)
        self.lost = LostCommits(directory / f"{remote.key}.lost")
        self._state_file = directory / f"{remote.key}.json"
        self._listing = directory / f"{remote.key}.listing"

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
        """Return the refs as the last successful fetch left them; none if there was none. Reads a file: see `load`."""
        try:
            found = self._listing.stat()
        except FileNotFoundError:
            return Refs()
        return _read_listing(self._listing, (found.st_mtime_ns, found.st_ino))

    async def load(self) -> Refs:
        """Return `refs()`, read beside the event loop: the file of a large repository has megabytes."""
        return await asyncio.to_thread(self.refs)

    def shallow(self) -> bytes:
        """Return the mirror's file `shallow`: the commits where the remote's history ends; empty if it is whole."""
        try:
            return (self.path / "shallow").read_bytes()
        except FileNotFoundError:
            return b""

    async def fetch(self, not_before: float, wait_seconds: float | None = None) -> None:
        """Fetch, unless a fetch that began at `not_before` or later succeeded. Raises GitError, or MirrorBusy.

        Callers at the same time share one attempt and its failure.
        """
        if self._is_good_since(not_before):
            return
        async with self.locked(seconds=wait_seconds):
            attempts = self.fetch_state()
            if self._is_good_since(not_before):
                return
            if attempts.error and not_before <= attempts.tried_at <= time.time():
                raise attempts.failure()
            await self._attempt(attempts)

    async def fetch_ref(self, ref: str, wait_seconds: float | None = None) -> None:
        """Fetch a ref that no branch or tag names, such as refs/pull/1/head or a commit; forget one that is gone.

        Raises GitError, or MirrorBusy.
        """
        async with self.locked(seconds=wait_seconds):
            try:
                await self._bounded(self._network).run(*FETCH, f"+{ref}:{requested_name(ref)}")
            except GitError as error:
                if not any(sign in error.stderr_tail for sign in NO_SUCH_REF):
                    raise
                await self.git.run("update-ref", "-d", requested_name(ref))
            await self._note_refs(self.path, (await self.load()).default)

    async def forget_requested(self) -> None:
        """Delete the refs that runs asked for, while the lock is held: a run that asks again fetches its ref again."""
        listing = await self.git.text("for-each-ref", "--format=delete %(refname)", REQUESTED)
        if listing:
            await self.git.run("update-ref", "--stdin", stdin=f"{listing}\n".encode())
            await self._note_refs(self.path, (await self.load()).default)

    async def advertised(self) -> dict[str, str]:
        """Return a ref of the remote for each object that one points to now, also of refs that are not mirrored.

        Raises GitError.
        """
        asking = self._network.with_time_limit(TimeLimit(ADVERTISED_SECONDS))
        output = await asking.run("ls-remote", "origin", limit=ADVERTISED_BYTES)
        lines = (line.decode(errors="replace") for line in output.split(b"\n") if len(line) > 40)
        return await asyncio.to_thread(lambda: {line[:40]: line[41:].removesuffix("^{}") for line in lines})

    def mark_suspect(self) -> None:
        """Make the next fetch check all objects and rebuild the mirror if one is damaged."""
        write(
            self._state_file, self.fetch_state().model_copy(update={"good_at": 0.0, "doubted": True}).model_dump_json()
        )

    @asynccontextmanager
    async def locked(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Hold the mirror's lock, across tasks and processes.

        Raises MirrorBusy if another holds it for `seconds`, by default the time limit of a fetch.
        """
        limit = self.limits.fetch_seconds if seconds is None else seconds
        async with hold_lock(self.path.with_suffix(".fetch.lock"), limit):
            yield

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
        """Build a new mirror from the remote, and then replace the old one, whose objects kept work still reads."""
        new = self.path.with_name(f"{self.path.name}.new")
        await asyncio.to_thread(remove, new)
        new.mkdir(parents=True, mode=0o700)
        await self.git.at(new).run("init", "--quiet", "--bare", "--template=")
        await self._fetch(self._network.at(new), new)
        # a file for each ref is what a fetch writes; with thousands of them, listing them would take seconds each time
        await self.git.at(new).run("pack-refs", "--all")
        async with self.kept.locked():
            if self.path.exists():
                retired = retired_path(self.path)
                self.kept.borrow_also(retired)
                retire(self.path, retired)
            new.rename(self.path)

    async def _fetch(self, network: Git, path: Path | None = None) -> None:
        self._configure(path or self.path)
        bounded = self._bounded(network)
        # it is silent until it is done: the fetch beside it says if the remote is still there
        asking = network.with_time_limit(TimeLimit(self.limits.fetch_seconds))
        head = asyncio.ensure_future(asking.text("ls-remote", "--symref", "origin", "HEAD"))
        try:
            await self._fetch_refs(bounded, path or self.path)
            named = SYMBOLIC_HEAD.search(await head)
        finally:
            head.cancel()
            await asyncio.gather(head, return_exceptions=True)
        await self._note_refs(path or self.path, named[1] if named else None, is_head=True)

    async def _fetch_refs(self, network: Git, path: Path) -> None:
        try:
            await network.run(*FETCH, *REFSPECS, f"+HEAD:{HEAD}")
        except GitError as error:
            if NO_HEAD not in error.stderr_tail:
                raise
            # it names a branch that is gone: what it was on before must not be taken for it
            await network.run(*FETCH, *REFSPECS)
            await self.git.at(path).run("update-ref", "-d", HEAD)

    def _bounded(self, network: Git) -> Git:
        # what a power cut takes from a mirror the remote still has; kept work is written with care
        hasty = network.with_environment({}, {"core.fsync": "none"})
        # git compares hundreds of thousands of refs without a word
        silence = self.limits.silence_seconds + len(self.refs().lines) / REF_BYTES_PER_SECOND
        return hasty.with_time_limit(TimeLimit(self.limits.fetch_seconds, silence))

    def _configure(self, path: Path) -> None:
        text = CONFIG.format(url=quote_config_value(self.remote.url))
        config = path / "config"
        if not config.exists() or config.read_text() != text:
            write(config, text)

    async def _note_refs(self, path: Path, head: str | None, *, is_head: bool = False) -> None:
        """Write the listing of the refs; `head` is what the remote's HEAD names, or the default branch as it was."""
        lines = await self.git.at(path).run(*LISTING)
        await run_to_completion(asyncio.to_thread(self._write_listing, Refs(lines), head, is_head))

    def _write_listing(self, refs: Refs, head: str | None, is_head: bool) -> None:
        self.lost.record(self.refs(), refs)
        write(self._listing, refs.with_default(default_branch(refs, head) if is_head else head).dump())


_listings: dict[Path, tuple[tuple[int, int], Refs]] = {}
"""The last listings that were read, each with its file's time and inode: one of a large repository has megabytes."""


def _read_listing(path: Path, version: tuple[int, int]) -> Refs:
    """Read the file once for each time it is written."""
    known = _listings.get(path)
    if known is not None and known[0] == version:
        return known[1]
    refs = Refs.load(path.read_bytes())
    _listings.pop(path, None)
    if len(_listings) >= MAX_LISTINGS:
        _listings.pop(next(iter(_listings)), None)
    _listings[path] = version, refs
    return refs


class FetchLimits(Frozen):
    """Limits of fetches and of kept work, from the settings."""

    fetch_seconds: float
    silence_seconds: float
    kept_work_max_bytes: int
