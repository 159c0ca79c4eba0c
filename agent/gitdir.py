"""Writes a git directory from nothing, so that nothing of an earlier one can act in it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.files import remove, write
from agent.mirror import Mirror, quoted
from agent.snapshot import Snapshot

HOOK = """\
#!/bin/sh
# Says in each commit which run made it.
exec git interpret-trailers --in-place --if-exists addIfDifferent {trailers} "$1"
"""


@dataclass(frozen=True)
class GitDir:
    """What a new git directory says."""

    head: str
    alternates: Path
    packed_refs: str = ""
    shallow: bytes = b""
    config: Mapping[str, Mapping[str, str | list[str]]] = field(default_factory=dict)
    trailers: Mapping[str, str] = field(default_factory=dict)
    symbolic_refs: Mapping[str, str] = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Make `path` such a directory, whatever was there before."""
        remove(path)
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"):
            (path / name).mkdir(parents=True, exist_ok=True)
        _put(path / "objects/info/alternates", f"{self.alternates}\n")
        _put(path / "config", render(self.config))
        _put(path / "packed-refs", self.packed_refs)
        if self.shallow:
            (path / "shallow").write_bytes(self.shallow)
        for name, target in {**self.refs, **{n: f"ref: {t}" for n, t in self.symbolic_refs.items()}}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            _put(path / name, f"{target}\n")
        self.write_hook(path)
        # git takes a directory for a repository once it has a HEAD
        _put(path / "HEAD", f"{self.head}\n")

    def write_hook(self, path: Path) -> None:
        """Put the trailers into the hook, or take it away."""
        hook = path / "hooks" / "prepare-commit-msg"
        if not self.trailers:
            remove(hook)
            return
        options = " ".join(f"--trailer {shlex.quote(f'{name}: {value}')}" for name, value in self.trailers.items())
        write(hook, HOOK.format(trailers=options), mode=0o755)


def describe_checkout(
    snapshot: Snapshot, mirror: Mirror, user: Mapping[str, str], trailers: Mapping[str, str]
) -> GitDir:
    """The git directory of a clone of the true remote, with its objects borrowed from the mirror."""
    refs = mirror.refs()
    origin: dict[str, str | list[str]] = {"url": mirror.remote.url, "fetch": "+refs/heads/*:refs/remotes/origin/*"}
    config: dict[str, dict[str, str | list[str]]] = {"core": CORE, 'remote "origin"': origin, "user": dict(user)}
    config["gc"] = {"autoDetach": "false"}
    branch = snapshot.branch
    if branch:
        config[f"branch {quoted(branch)}"] = {"remote": "origin", "merge": f"refs/heads/{branch}"}
    default = refs.default
    return GitDir(
        head=f"ref: refs/heads/{branch}" if branch else snapshot.commit,
        alternates=mirror.objects,
        packed_refs=refs.packed(),
        shallow=mirror.shallow(),
        config=config,
        trailers=trailers,
        refs={f"refs/heads/{branch}": snapshot.commit} if branch else {},
        symbolic_refs={"refs/remotes/origin/HEAD": f"refs/remotes/origin/{default}"} if default else {},
    )


CORE: dict[str, str | list[str]] = {
    "repositoryformatversion": "0",
    "fileMode": "true",
    "bare": "false",
    "logAllRefUpdates": "true",
}


def render(config: Mapping[str, Mapping[str, str | list[str]]]) -> str:
    """The sections as a git config file."""
    lines = []
    for section, values in config.items():
        lines.append(f"[{section}]")
        for key, value in values.items():
            lines += [f"\t{key} = {quoted(one)}" for one in (value if isinstance(value, list) else [value])]
    return "\n".join((*lines, ""))


def _put(path: Path, text: str) -> None:
    path.write_text(text)
