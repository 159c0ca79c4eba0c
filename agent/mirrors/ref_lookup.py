"""Looks a ref up in a mirror as git would in a clone of the remote: gitrevisions(7), with origin's branches."""

from __future__ import annotations

from agent.domain.errors import WorkspaceError
from agent.git.git import GitError
from agent.git.refs import (
    ABBREVIATED,
    BRANCHES,
    COMMIT,
    HEAD,
    Refs,
    Target,
    is_default_branch,
    requested_name,
)
from agent.mirrors.mirror import Mirror


async def find_target(mirror: Mirror, ref: str) -> Target | None:
    """Return the target of a ref or of a commit name; None if the mirror has none.

    40 hex digits are a commit, whatever branches there are. Raises WorkspaceError for a ref that names no commit.
    """
    if COMMIT.fullmatch(ref):
        return await _find_commit(mirror, ref)
    refs = await mirror.load()
    if is_default_branch(ref):
        return find_default(refs)
    name = refs.full_name(ref)
    found = refs.object_of(name) if name else refs.object_of(requested_name(ref))
    if found is None:
        short = ABBREVIATED.fullmatch(ref)
        return await _find_commit(mirror, short[1]) if short else None
    if name and name.startswith(BRANCHES):
        return Target(found, name.removeprefix(BRANCHES), name)
    return Target(await _peel(mirror, ref, found), None, name or ref)


def find_default(refs: Refs) -> Target | None:
    """Return the remote's default branch, or the commit of a HEAD that is on no branch; None if there is neither."""
    if refs.default is not None and (found := refs.object_of(f"{BRANCHES}{refs.default}")) is not None:
        return Target(found, refs.default, f"{BRANCHES}{refs.default}")
    detached = refs.object_of(HEAD)
    return Target(detached) if detached else None


async def _find_commit(mirror: Mirror, name: str) -> Target | None:
    verify = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name.lower()}^{{commit}}")
    try:
        return Target(await mirror.git.text(*verify))
    except GitError:
        return None


async def _peel(mirror: Mirror, ref: str, named: str) -> str:
    """Return the commit that the object is, or that a tag names."""
    asked = f"{named}^{{commit}}\n{named}^{{}}\n".encode()
    answers = await mirror.git.text("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    (commit, _, kind), (_, _, other) = (answer.partition(" ") for answer in answers.split("\n"))
    if kind == "commit":
        return commit
    if other == "missing":
        mirror.mark_suspect()
        raise WorkspaceError(f"the object of ref {ref!r} cannot be read", "try again", retryable=True)
    raise WorkspaceError(f"ref {ref!r} names a {other} and no commit", "name a branch, a commit, or a tag of one")
