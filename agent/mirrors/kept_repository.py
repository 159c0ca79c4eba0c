"""The repository beside a mirror that holds what agents left unpushed.

It borrows the mirror's objects, which every sandbox can read, and has its own for what only agents wrote: no sandbox
can read those, so no run reads what another one left.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from agent.git.git import Git
from agent.git.untrusted_refs import read_ref_files
from agent.mirrors.mirror_lock import hold_lock
from agent.system.files import remove, write

KEPT_REFS = "refs/agent-runs/"
PUBLIC_REFS = ("refs/heads", "refs/tags", "refs/agent", "refs/asked")
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
\tmaxInputSize = {max_bytes}
\tshallowUpdate = true
"""


class KeptRepository:
    """The kept work of the runs of one mirror; made by the mirror. `objects` are the mirror's."""

    def __init__(self, git: Git, path: Path, mirror: Path, max_bytes: int, lock_seconds: float) -> None:
        self.path = path
        self.git = git.at(path)
        self.max_bytes = max_bytes
        self._mirror = mirror
        self._lock_seconds = lock_seconds

    @property
    def objects(self) -> Path:
        """Return the directory of the objects that only kept work has."""
        return self.path / "objects"

    @property
    def is_empty(self) -> bool:
        """True if nothing was ever kept here."""
        return not (self.path / "HEAD").exists()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold its lock, across tasks and processes. Raises MirrorBusy."""
        async with hold_lock(self.path.with_suffix(".kept.lock"), self._lock_seconds):
            yield

    async def create(self, shallow: bytes = b"") -> None:
        """Make it ready for a push, which must hold its lock. `shallow` is the mirror's file of that name."""
        if self.is_empty:
            await asyncio.to_thread(remove, self.path)
            self.path.mkdir(parents=True, mode=0o700)
            (self.path / "objects" / "info").mkdir(parents=True)
            self._write_alternates([])
            await self.git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=none")
        write(self.path / "config", CONFIG.format(max_bytes=self.max_bytes))
        # what it knows of the ends of the history must be what the mirror knows, besides what was shallow when kept
        known = (self.path / "shallow").read_bytes() if (self.path / "shallow").exists() else b""
        if shallow and (lines := {*known.splitlines(), *shallow.splitlines()} - {b""}):
            write(self.path / "shallow", b"".join(line + b"\n" for line in sorted(lines)))

    def borrow_also(self, retired: Path) -> None:
        """Go on reading the objects of a mirror that is replaced: work that was kept may need what the remote lost."""
        if not self.is_empty:
            self._write_alternates([*self._alternates()[1:], self._relative(retired)])

    async def adopt(self) -> None:
        """Move the kept work that an earlier version of the service left in the mirror here."""
        found = await asyncio.to_thread(read_ref_files, self._mirror)
        names = [name for name in found if name.startswith(KEPT_REFS)]
        if not names:
            return
        mirror = self.git.at(self._mirror)
        async with self.locked():
            await self.create()
            public = await mirror.run("for-each-ref", "--format=^%(objectname)", *PUBLIC_REFS)
            wanted = "".join(f"{found[name]}\n" for name in names).encode() + public
            pack = self.objects / "pack" / "pack"
            await mirror.run("pack-objects", "--quiet", "--revs", str(pack), stdin=wanted)
            await self.git.run(
                "update-ref", "--stdin", stdin=_commands(f"update {name} {found[name]}" for name in names)
            )
            await mirror.run("update-ref", "--stdin", stdin=_commands(f"delete {name}" for name in names))

    def _write_alternates(self, more: list[str]) -> None:
        lines = dict.fromkeys([self._relative(self._mirror), *more])
        write(self.path / "objects" / "info" / "alternates", "".join(f"{line}\n" for line in lines))

    def _relative(self, mirror: Path) -> str:
        """Return the path of its objects from this one's, so that a copy of the state directory is whole."""
        return os.path.relpath(mirror / "objects", self.objects)

    def _alternates(self) -> list[str]:
        try:
            return (self.path / "objects" / "info" / "alternates").read_text().split("\n")[:-1]
        except FileNotFoundError:  # a restored backup borrows nothing
            return []


def _commands(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
