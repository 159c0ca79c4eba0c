"""Paths inside the directory of one slot."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from agent.domain.checkout import Identity, Snapshot
from agent.domain.values import Frozen
from agent.system.files import write

Step = Callable[[str], None]
"""Called with the name of each finished step; tests kill the process there."""


def ignore_step(name: str) -> None:
    """Do nothing between the steps."""


class SlotRecord(Frozen):
    """The snapshot and identity that a slot was prepared with, and whether its work has been collected since."""

    snapshot: Snapshot
    identity: Identity
    collected: bool = False
    began_at: float | None = Field(default=None, description="When it was given to a run, in seconds since the epoch.")


@dataclass(frozen=True)
class SlotDirectory:
    """The directory of one slot: the agent gets `checkout` and cannot reach the rest."""

    directory: Path

    @property
    def checkout(self) -> Path:
        """Return the agent's working tree, which has its own `.git`."""
        return self.directory / "checkout"

    @property
    def index(self) -> Path:
        """Return the service's index of the checkout."""
        return self.directory / "index"

    @property
    def git_dir(self) -> Path:
        """Return the git directory with which the service reads the checkout."""
        return self.directory / "git"

    @property
    def work(self) -> Path:
        """Return the git directory in which the leftover work is read."""
        return self.directory / "work"

    @property
    def view(self) -> Path:
        """Return the git directory in which the run's changes are compared."""
        return self.directory / "view"

    def mirror_objects(self) -> str | None:
        """Return the mirror's object directory that the checkout was built from; None before the first build."""
        try:
            return (self.git_dir / "objects/info/alternates").read_text().strip()
        except FileNotFoundError:
            return None

    def record(self) -> SlotRecord | None:
        """Return its record; None if it is not prepared."""
        try:
            return SlotRecord.model_validate_json((self.directory / "given.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def has_unreadable_record(self) -> bool:
        """True if it was prepared and its record can no longer be read."""
        return self.record() is None and (self.directory / "given.json").exists()

    def write_record(self, record: SlotRecord) -> None:
        """Record what it was prepared with."""
        write(self.directory / "given.json", record.model_dump_json())

    def delete_record(self) -> None:
        """Delete the record: the slot is no longer prepared."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.directory / "given.json").unlink(missing_ok=True)

    def write_refs(self, packed_refs: bytes) -> None:
        """Record the refs that the checkout began with."""
        write(self.directory / "refs", packed_refs)

    def read_refs(self) -> bytes:
        """Return those refs, as the file packed-refs has them."""
        try:
            return (self.directory / "refs").read_bytes()
        except FileNotFoundError:
            return b""

    def known_commits(self) -> set[str]:
        """Return the objects that those refs point to."""
        lines = self.read_refs().decode(errors="replace").split("\n")
        return {line[:40] for line in lines if line and not line.startswith("#")}

    def write_repositories(self, paths: list[str]) -> None:
        """Record the repositories that the agent made in the checkout."""
        write(self.directory / "repositories.json", json.dumps(paths))

    def read_repositories(self) -> list[str] | None:
        """Return those paths; None if the checkout was not collected."""
        try:
            return [str(path) for path in json.loads((self.directory / "repositories.json").read_bytes())]
        except (FileNotFoundError, ValueError):
            return None

    def write_baseline(self, signatures: dict[str, tuple[int, ...] | None]) -> None:
        """Record the files that the post-checkout command changed."""
        write(self.directory / "baseline.json", json.dumps(signatures))

    def read_baseline(self) -> dict[str, tuple[int, ...] | None]:
        """Return those files with their signatures."""
        try:
            content = json.loads((self.directory / "baseline.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return {path: tuple(found) if found else None for path, found in content.items()}
