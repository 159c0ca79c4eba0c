"""A bare mirror of one repository: the one place that fetches, and the objects that all slots read.

Only `fetch` moves what it mirrors. Objects are never pruned here, so whatever a slot reads stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from agent.files import remove, write
from agent.git import Git, GitError
from agent.models import Frozen
from agent.program import Bound
from agent.refs import ASKED, HEAD, LISTING, Refs, Target, default_branch, read_refs
from agent.remote import Remote

LOCK_POLL_SECONDS = 0.01
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


class Attempts(Frozen):
    """The last attempt to fetch, and the last that went well; seconds since the epoch, when they began."""

    tried_at: float = 0.0
    good_at: float = 0.0
    error: str | None = Field(default=None, description="Why the last attempt failed.")
    exit_status: int | None = None
    retryable: bool = True

    def after(self, error: GitError, began: float) -> Attempts:
        """The same after an attempt that failed."""
        return Attempts(
            tried_at=began,
            good_at=self.good_at,
            error=error.stderr_tail or str(error),
            exit_status=error.exit_status,
            retryable=error.retryable,
        )


class Mirror:
    """The mirror of `remote` under `directory`; any number of tasks and processes may use it at once."""

    def __init__(self, git: Git, network: Git, directory: Path, remote: Remote, limits: Limits) -> None:
        self.remote = remote
        self.path = directory / f"{remote.key}.git"
        self.limits = limits
        self.git = git.at(self.path)
        self._network = network.at(self.path)
        self._attempts = directory / f"{remote.key}.json"
        self._listing = directory / f"{remote.key}.refs"
        self._lock = directory / f"{remote.key}.lock"

    @property
    def objects(self) -> Path:
        """Where the objects lie that slots read."""
        return self.path / "objects"

    def attempts(self) -> Attempts:
        """What is known of the fetches so far."""
        try:
            return Attempts.model_validate_json(self._attempts.read_bytes())
        except (FileNotFoundError, ValidationError):
            return Attempts()

    def refs(self) -> Refs:
        """The refs as the last good fetch left them; none if there never was one."""
        try:
            return read_refs(self._listing.read_text())
        except FileNotFoundError:
            return Refs({}, {})

    def shallow(self) -> bytes:
        """Where history ends, if the remote has no more of it."""
        try:
            return (self.path / "shallow").read_bytes()
        except FileNotFoundError:
            return b""

    async def fetch(self, not_before: float) -> None:
        """Have what the remote had at `not_before` or later; raises GitError.

        Callers at the same time share one attempt, and its failure.
        """
        if self._is_good_since(not_before):
            return
        async with self.locked():
            attempts = self.attempts()
            if self._is_good_since(not_before):
                return
            if attempts.error and not_before <= attempts.tried_at <= time.time():
                raise GitError("git fetch", attempts.exit_status, attempts.error, retryable=attempts.retryable)
            await self._attempt(attempts)

    async def find(self, ref: str) -> Target | None:
        """What `ref` names in here, a commit's own name included; None if it is not here."""
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

    async def ask(self, ref: str) -> None:
        """Fetch a ref that no branch or tag names, such as refs/pull/1/head or a commit; raises GitError."""
        async with self.locked():
            await self._network.run(*FETCH, f"+{ref}:{ASKED}{ref}")
            await self._note_refs()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """While this is open, nobody else changes the mirror, in this process or another."""
        self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(self._lock, thread_local=False)
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
        return moment <= self.attempts().good_at <= time.time() and self._listing.exists()

    async def _attempt(self, before: Attempts) -> None:
        began = time.time()
        try:
            await self._fetch()
        except GitError as error:
            write(self._attempts, before.after(error, began).model_dump_json())
            raise
        write(self._attempts, Attempts(tried_at=began, good_at=began).model_dump_json())

    async def _fetch(self) -> None:
        if not (self.path / "HEAD").exists():
            await self._create(self.path)
        self._configure()
        silence = self.limits.silence_seconds
        network = self._network.within(Bound(self.limits.fetch_seconds, silence))
        try:
            await network.run(*FETCH, *REFSPECS, f"+HEAD:{HEAD}")
        except GitError as error:
            if NO_HEAD not in error.stderr_tail:
                raise
            await network.run(*FETCH, *REFSPECS)
        await self._note_refs()

    async def _create(self, path: Path) -> None:
        remove(path)
        path.mkdir(parents=True, mode=0o700)
        await self.git.at(path).run("init", "--quiet", "--bare", "--template=")

    def _configure(self) -> None:
        text = CONFIG.format(
            url=quoted(self.remote.url),
            kept_work_max_bytes=self.limits.kept_work_max_bytes,
        )
        config = self.path / "config"
        if not config.exists() or config.read_text() != text:
            write(config, text)

    async def _note_refs(self) -> None:
        listing = await self.git.text(*LISTING)
        default = default_branch(read_refs(f"\n{listing}"), self.refs().default)
        write(self._listing, f"{default or ''}\n{listing}\n")


class Limits(Frozen):
    """What fetches and keeping are held to."""

    fetch_seconds: float
    silence_seconds: float
    kept_work_max_bytes: int


def quoted(value: str) -> str:
    """The value as a git config file wants it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
