"""Writes the .git directory of a checkout from scratch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.system.files import remove, write
from agent.system.openat import write_below

PLAIN = re.compile(r"[\w.@/:+*-]+", re.ASCII)
HOOK_NAME = "hooks/prepare-commit-msg"
HOOK = """\
#!/bin/sh
# Adds the run's id to each commit message.
exec git interpret-trailers --in-place --if-exists addIfDifferent {trailers} "$1"
"""


@dataclass(frozen=True)
class GitDir:
    """The content of a git directory that is about to be written."""

    head: str
    alternates: tuple[Path, ...]
    packed_refs: bytes = b""
    shallow: bytes = b""
    config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    trailers: Mapping[str, str] = field(default_factory=dict)
    symbolic_refs: Mapping[str, str] = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it to `path` and remove everything that was there before."""
        remove(path)
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"):
            (path / name).mkdir(parents=True, exist_ok=True)
        _put(path / "objects/info/alternates", "".join(f"{objects}\n" for objects in self.alternates))
        _put(path / "config", render_config(self.config))
        (path / "packed-refs").write_bytes(self.packed_refs)
        if self.shallow:
            (path / "shallow").write_bytes(self.shallow)
        for name, target in {**self.refs, **{n: f"ref: {t}" for n, t in self.symbolic_refs.items()}}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            _put(path / name, f"{target}\n")
        if self.trailers:
            write(path / HOOK_NAME, self.hook(), mode=0o755)
        # git takes a directory for a repository once it has a HEAD
        _put(path / "HEAD", f"{self.head}\n")

    def rewrite_identity(self, checkout: Path) -> None:
        """Write the config and hook of another run into the checkout. Raises OSError if `.git` is no directory."""
        write_below(checkout, ".git/config", render_config(self.config))
        write_below(checkout, f".git/{HOOK_NAME}", self.hook(), mode=0o755)

    def hook(self) -> str:
        """Return the hook script that adds the trailers to a commit message."""
        options = " ".join(f"--trailer {shlex.quote(f'{name}: {value}')}" for name, value in self.trailers.items())
        return HOOK.format(trailers=options)


CORE: dict[str, str] = {
    "repositoryformatversion": "0",
    "fileMode": "true",
    "bare": "false",
    "logAllRefUpdates": "true",
}


def render_config(config: Mapping[str, Mapping[str, str]]) -> str:
    """Return the sections as the text of a git config file."""
    lines = []
    for section, values in config.items():
        lines.append(f"[{section}]")
        for key, value in values.items():
            lines.append(f"\t{key} = {value if PLAIN.fullmatch(value) else quote_config_value(value)}")
    return "\n".join((*lines, ""))


def _put(path: Path, text: str) -> None:
    path.write_text(text)


def quote_config_value(value: str) -> str:
    """Return the value quoted for a git config file. Raises ValueError for more than one line."""
    if any(character in value for character in "\n\r\0"):
        raise ValueError("a value in a git config must be one line")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
