"""Finds refs in the listing that the last fetch of a mirror left; the listing is searched and never parsed whole.

A repository may have hundreds of thousands of refs, so nothing here makes an object per ref.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from agent.domain.errors import WorkspaceError

HEAD = "refs/agent/HEAD"
REQUESTED = "refs/asked/"
FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.lock(/|$)|(^|/)\.|\.$")
COMMIT = re.compile(r"[0-9a-fA-F]{40}")
# a short commit, or what `git describe` prints, which ends with one
ABBREVIATED = re.compile(r"(?:.+-g)?([0-9a-fA-F]{4,39})")
BRANCHES, TAGS = "refs/heads/", "refs/tags/"
_REMOTE = "refs/remotes/origin/"
_DEFAULT_BRANCH = ("HEAD", "@", "origin", "origin/HEAD", "remotes/origin/HEAD", f"{_REMOTE}HEAD")


@dataclass(frozen=True)
class Target:
    """The commit that a ref names; its branch if it is one, and its full name unless it is a commit's."""

    commit: str
    branch: str | None = None
    name: str | None = None

    def is_same_ref(self, other: Target) -> bool:
        """True if both are one ref, or one commit that was named as such."""
        return self.name == other.name if self.name or other.name else self.commit == other.commit


@dataclass(frozen=True)
class Refs:
    """The refs of a mirror, as lines `<object> <full name>`, sorted by name; and the remote's default branch."""

    lines: bytes = b""
    default: str | None = None

    def object_of(self, name: str) -> str | None:
        """Return the object that the full name points to; None if there is no such ref."""
        wanted = b" " + name.encode(errors="replace") + b"\n"
        found = self.lines.find(wanted)
        return None if found < 0 else self.lines[found - 40 : found].decode()

    def full_name(self, ref: str) -> str | None:
        """Return the full name of a branch or a tag, by git's own order: refs/<ref>, a tag, a branch, origin's branch.

        None if there is none.
        """
        for name in _possible_names(ref):
            if name.startswith((BRANCHES, TAGS)) and self.object_of(name) is not None:
                return name
        return None

    def branches(self, most: int) -> list[str]:
        """Return the names of the first branches."""
        return list(islice(self._branch_names(), most))

    def objects(self) -> set[bytes]:
        """Return all objects that refs point to."""
        return {line[:40] for line in self.lines.split(b"\n") if line}

    def packed(self) -> bytes:
        """Return the refs that a clone has of its remote, in the format of the file packed-refs."""
        starts = [self.lines.find(b" " + prefix.encode()) for prefix in (BRANCHES, TAGS)]
        found = [start - 40 for start in starts if start >= 0]
        public = self.lines[min(found) :] if found else b""
        # no name can contain a space, so this matches where a name begins and nowhere else
        return PACKED_HEADER + public.replace(b" " + BRANCHES.encode(), b" " + _REMOTE.encode())

    def with_default(self, default: str | None) -> Refs:
        """Return these refs with that default branch."""
        return Refs(self.lines, default)

    def dump(self) -> bytes:
        """Return the content of a file for `load`."""
        return (self.default or "").encode() + b"\n" + self.lines

    @staticmethod
    def load(content: bytes) -> Refs:
        """Return the refs that `dump` wrote."""
        first, _, lines = content.partition(b"\n")
        return Refs(lines, first.decode(errors="replace") or None)

    def _branch_names(self) -> Iterator[str]:
        marker, at = b" " + BRANCHES.encode(), 0
        while (found := self.lines.find(marker, at)) >= 0:
            at = self.lines.find(b"\n", found)
            yield self.lines[found + len(marker) : at].decode(errors="replace")


PACKED_HEADER = b"# pack-refs with: sorted \n"
LISTING = ("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", HEAD, REQUESTED)


def default_branch(refs: Refs, head: str | None) -> str | None:
    """Return the branch that the remote's HEAD names; `head` is what the remote calls it, None for a detached HEAD.

    A HEAD without a name is on the branch of its commit only if there is just one; one that points nowhere, as after
    a rename, means the only branch if there is just one.
    """
    if head is not None and head.startswith(BRANCHES) and refs.object_of(head) is not None:
        return head.removeprefix(BRANCHES)
    commit = refs.object_of(HEAD)
    if commit is None:
        branches = refs.branches(2)
    elif head is None:
        marker = commit.encode() + b" " + BRANCHES.encode()
        branches = [line.decode(errors="replace").removeprefix(BRANCHES) for line in _names_after(refs.lines, marker)]
    else:
        branches = []
    return branches[0] if len(branches) == 1 else None


def is_default_branch(ref: str) -> bool:
    """True if the ref means the remote's HEAD."""
    return ref in _DEFAULT_BRANCH


def requested_name(ref: str) -> str:
    """Return the mirror's name for a ref or commit that was fetched because a run asked for it.

    It is one level deep: refs/pull/7 and refs/pull/7/head could not both be there otherwise.
    """
    return REQUESTED + ref.replace("%", "%25").replace("/", "%2F")


def is_not_mirrored(ref: str) -> bool:
    """True if a mirror fetches the ref only when a run asks for it."""
    return ref.startswith("refs/") and not ref.startswith((BRANCHES, TAGS, _REMOTE))


def check_ref(ref: str) -> str:
    """Return the ref; raises WorkspaceError if git refuses such a name or could read an option or expression in it."""
    if ref.startswith("-") or FORBIDDEN.search(ref) or not ref:
        raise WorkspaceError(f"ref {ref!r} refused: name a branch, a tag or a commit")
    return ref


def _possible_names(ref: str) -> Iterator[str]:
    """Yield full names in the order of gitrevisions(7); the remote's branches are those of refs/heads here."""
    names = [ref] if ref.startswith("refs/") else [f"refs/{ref}", f"{TAGS}{ref}", f"{BRANCHES}{ref}"]
    if ref.startswith("origin/"):
        names.append(f"refs/remotes/{ref}")
    for name in names:
        yield BRANCHES + name.removeprefix(_REMOTE) if name.startswith(_REMOTE) else name


def _names_after(lines: bytes, marker: bytes) -> list[bytes]:
    """Return the first two names in lines that begin with the marker, from `refs/` on."""
    names: list[bytes] = []
    at = 0
    while len(names) < 2 and (found := lines.find(marker, at)) >= 0:
        at = lines.find(b"\n", found)
        names.append(lines[found + 41 : at])
    return names
