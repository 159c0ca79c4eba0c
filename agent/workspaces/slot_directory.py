"""Where the things of one slot lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.domain.checkout import Identity, Snapshot
from agent.domain.values import Frozen
from agent.system.files import write

Step = Callable[[str], None]
"""Told the name of each step that has been done; tests end the process there."""


def ignore_step(name: str) -> None:
    """Nothing happens between the steps."""


class SlotRecord(Frozen):
    """What a slot was made ready with, and whether its leavings have been collected since."""

    snapshot: Snapshot
    identity: Identity
    collected: bool = False


@dataclass(frozen=True)
class SlotDirectory:
    """A slot's directory: the agent gets `checkout`, and the rest is out of its reach."""

    directory: Path

    @property
    def checkout(self) -> Path:
        """The agent's working tree, with a `.git` of its own."""
        return self.directory / "checkout"

    @property
    def index(self) -> Path:
        """What we know of the files in the checkout."""
        return self.directory / "index"

    @property
    def git_dir(self) -> Path:
        """The git directory that we look at the checkout with."""
        return self.directory / "git"

    @property
    def work(self) -> Path:
        """The git directory that leavings are examined in."""
        return self.directory / "work"

    def mirror_objects(self) -> str | None:
        """The objects that the files in the checkout came from, whatever became of the run."""
        try:
            return (self.git_dir / "objects/info/alternates").read_text().strip()
        except FileNotFoundError:
            return None

    def given(self) -> SlotRecord | None:
        """What it was made ready with; None if it is not ready."""
        try:
            return SlotRecord.model_validate_json((self.directory / "given.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def is_unclear(self) -> bool:
        """Whether it was made ready with something that can no longer be read."""
        return self.given() is None and (self.directory / "given.json").exists()

    def give(self, given: SlotRecord) -> None:
        """Note what it was made ready with."""
        write(self.directory / "given.json", given.model_dump_json())

    def take_back(self) -> None:
        """From now on it is not ready for anyone."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.directory / "given.json").unlink(missing_ok=True)

    def note_refs(self, packed_refs: str) -> None:
        """Remember which refs the checkout was given."""
        write(self.directory / "refs", packed_refs)

    def known_commits(self) -> set[str]:
        """What those refs point to."""
        try:
            lines = (self.directory / "refs").read_text().split("\n")
        except FileNotFoundError:
            return set()
        return {line[:40] for line in lines if line and not line.startswith("#")}

    def note_repositories(self, paths: list[str]) -> None:
        """Remember where in the checkout the agent made repositories."""
        write(self.directory / "repositories.json", json.dumps(paths))

    def read_repositories(self) -> list[str] | None:
        """Those places; None if nobody looked."""
        try:
            return [str(path) for path in json.loads((self.directory / "repositories.json").read_bytes())]
        except (FileNotFoundError, ValueError):
            return None

    def note_baseline(self, signatures: dict[str, tuple[int, ...] | None]) -> None:
        """Remember the files that our own post-checkout command changed."""
        write(self.directory / "baseline.json", json.dumps(signatures))

    def read_baseline(self) -> dict[str, tuple[int, ...] | None]:
        """Those files, as that command left them."""
        try:
            content = json.loads((self.directory / "baseline.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return {path: tuple(found) if found else None for path, found in content.items()}
