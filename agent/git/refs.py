"""The refs of a mirror, as its last fetch left them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from agent.domain.errors import WorkspaceError

HEAD = "refs/agent/HEAD"
ASKED = "refs/asked/"
FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.lock(/|$)|(^|/)\.|\.$")
SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Target:
    """What a ref names: a commit, and the branch if it is one."""

    commit: str
    branch: str | None = None


@dataclass(frozen=True)
class Refs:
    """Names and what they point to; tags are peeled to their commits in `peeled`."""

    names: Mapping[str, str]
    peeled: Mapping[str, str]
    default: str | None = None

    @cached_property
    def branches(self) -> dict[str, str]:
        """Commits by the name of the branch."""
        return self._under("refs/heads/")

    @cached_property
    def tags(self) -> dict[str, str]:
        """Objects by the name of the tag."""
        return self._under("refs/tags/")

    def find(self, ref: str) -> Target | None:
        """What `ref` names, as git would read it: a full name, a branch, a tag."""
        for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"{ASKED}{ref}"):
            if name.startswith("refs/") and name in self.names:
                branch = name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None
                return Target(self.peeled.get(name, self.names[name]), branch)
        return None

    def packed(self) -> str:
        """The refs that a clone has of its remote, in the format of the file packed-refs."""
        lines = ["# pack-refs with: sorted "]
        lines += [f"{sha} refs/remotes/origin/{name}" for name, sha in self.branches.items()]
        lines += [f"{sha} refs/tags/{name}" for name, sha in self.tags.items()]
        return "\n".join((*lines, ""))

    def _under(self, prefix: str) -> dict[str, str]:
        return {name.removeprefix(prefix): sha for name, sha in self.names.items() if name.startswith(prefix)}


def read_mirror_refs(listing: str) -> Refs:
    """The refs in a listing that `LISTING` asks for, the default branch in its first line."""
    default, _, rest = listing.partition("\n")
    names, peeled = {}, {}
    # a ref may hold signs that str.splitlines takes for the end of a line
    for line in filter(None, rest.split("\n")):
        sha, name, *target = line.split(" ")
        names[name] = sha
        if target and target[0]:
            peeled[name] = target[0]
    return Refs(names, peeled, default or None)


LISTING = ("for-each-ref", "--format=%(objectname) %(refname) %(*objectname)", "refs/heads", "refs/tags", HEAD, ASKED)


def default_branch(refs: Refs, before: str | None) -> str | None:
    """The branch that the remote's HEAD is on: where several have its commit, the one it was on before, or main."""
    head = refs.names.get(HEAD)
    candidates = [name for name, sha in refs.branches.items() if head is None or sha == head]
    for name in (before, "main", "master"):
        if name in candidates:
            return name
    return candidates[0] if candidates else None


def is_unusual(ref: str) -> bool:
    """Whether it is one that a mirror does not follow by itself."""
    return ref.startswith("refs/") and not ref.startswith(("refs/heads/", "refs/tags/"))


def check_ref(ref: str) -> str:
    """The ref, if git allows such a name and nothing takes it for an option or an expression."""
    if ref.startswith("-") or FORBIDDEN.search(ref) or not ref:
        raise WorkspaceError(f"ref {ref!r} refused: name a branch, a tag or a commit")
    return ref
