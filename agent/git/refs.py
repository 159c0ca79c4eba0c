"""Reads the refs of a mirror as the last fetch left them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from agent.domain.errors import WorkspaceError

HEAD = "refs/agent/HEAD"
REQUESTED = "refs/asked/"
FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.lock(/|$)|(^|/)\.|\.$")
SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Target:
    """The commit that a ref names, and the branch if the ref is one."""

    commit: str
    branch: str | None = None


@dataclass(frozen=True)
class Refs:
    """The refs of a mirror: object names by ref name, and in `peeled` the commits of annotated tags."""

    names: Mapping[str, str]
    peeled: Mapping[str, str]
    default: str | None = None

    @cached_property
    def branches(self) -> dict[str, str]:
        """Return the commits by branch name."""
        return self._under("refs/heads/")

    @cached_property
    def tags(self) -> dict[str, str]:
        """Return the objects by tag name."""
        return self._under("refs/tags/")

    def find(self, ref: str) -> Target | None:
        """Return the target of `ref`, read as git reads it: a full name, a branch, a tag; None if there is none."""
        for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"{REQUESTED}{ref}"):
            if name.startswith("refs/") and name in self.names:
                branch = name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None
                return Target(self.peeled.get(name, self.names[name]), branch)
        return None

    def packed(self) -> str:
        """Return the refs that a clone has of its remote, in the format of the file packed-refs."""
        lines = ["# pack-refs with: sorted "]
        lines += [f"{sha} refs/remotes/origin/{name}" for name, sha in self.branches.items()]
        lines += [f"{sha} refs/tags/{name}" for name, sha in self.tags.items()]
        return "\n".join((*lines, ""))

    def _under(self, prefix: str) -> dict[str, str]:
        return {name.removeprefix(prefix): sha for name, sha in self.names.items() if name.startswith(prefix)}


def read_mirror_refs(listing: str) -> Refs:
    """Parse the output of `LISTING`, with the default branch in its first line."""
    default, _, rest = listing.partition("\n")
    names, peeled = {}, {}
    # a ref may hold signs that str.splitlines takes for the end of a line
    for line in filter(None, rest.split("\n")):
        sha, name, *target = line.split(" ")
        names[name] = sha
        if target and target[0]:
            peeled[name] = target[0]
    return Refs(names, peeled, default or None)


LISTING = (
    "for-each-ref",
    "--format=%(objectname) %(refname) %(*objectname)",
    "refs/heads",
    "refs/tags",
    HEAD,
    REQUESTED,
)


def default_branch(refs: Refs, before: str | None) -> str | None:
    """The branch that the remote's HEAD is on: where several have its commit, the one it was on before, or main."""
    head = refs.names.get(HEAD)
    candidates = [name for name, sha in refs.branches.items() if head is None or sha == head]
    for name in (before, "main", "master"):
        if name in candidates:
            return name
    return candidates[0] if candidates else None


def is_not_mirrored(ref: str) -> bool:
    """True if a mirror fetches the ref only when a run asks for it."""
    return ref.startswith("refs/") and not ref.startswith(("refs/heads/", "refs/tags/"))


def check_ref(ref: str) -> str:
    """Return the ref; raises WorkspaceError if git refuses such a name or could read an option or expression in it."""
    if ref.startswith("-") or FORBIDDEN.search(ref) or not ref:
        raise WorkspaceError(f"ref {ref!r} refused: name a branch, a tag or a commit")
    return ref
