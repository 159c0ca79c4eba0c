"""Commits, files and diff of a run."""

from __future__ import annotations

from collections.abc import Collection

from agent.domain.checkout import RUN_TRAILER, Identity
from agent.domain.result import Commit
from agent.domain.values import Frozen
from agent.git.git import Git
from agent.workspaces.leftover_work import LeftoverWork

MAX_COMMITS = 500
MAX_FILES = 1000
FORMAT = f"--format=%H%x00%P%x00%ce%x00%(trailers:key={RUN_TRAILER},valueonly,separator=%x2C)%x00%s"


class Changes(Frozen):
    """The changes of one run: its commits, oldest first, and all of them as one diff."""

    commits: list[Commit] = []
    files: list[str] = []
    more_files: int = 0
    stat: str = ""
    diff: str = ""
    diff_cut: bool = False


async def read_changes(
    git: Git,
    leftover: LeftoverWork,
    unpushed: Collection[str],
    known: Collection[str],
    identity: Identity,
    diff_bytes: int,
) -> Changes:
    """Return the changes of the run; commits of others that it fetched are not among them."""
    made = await _made(git, leftover, unpushed, known, identity)
    if not made and leftover.tree is None:
        return Changes()
    commits = [commit for commit, _ in made]
    start, end = await _ends(git, leftover, made)
    files, stat, diff = await _compare(git, start, end, diff_bytes)
    return Changes(
        commits=commits,
        files=files[:MAX_FILES],
        more_files=max(0, len(files) - MAX_FILES),
        stat=stat,
        diff=_cut(diff, diff_bytes).decode(errors="replace"),
        diff_cut=len(diff) > diff_bytes,
    )


Made = list[tuple[Commit, list[str]]]


async def _made(
    git: Git, leftover: LeftoverWork, unpushed: Collection[str], known: Collection[str], identity: Identity
) -> Made:
    """Return the agent's own commits with their parents, oldest first."""
    if leftover.commits == [leftover.base]:
        return []
    revisions = [*leftover.commits, *(f"^{sha}" for sha in {leftover.base, *known})]
    listing = await git.run(
        *("log", "-z", "--stdin", "--ignore-missing", "--topo-order", f"--max-count={MAX_COMMITS}", FORMAT),
        stdin="\n".join((*revisions, "")).encode(),
    )
    fields = listing.decode(errors="replace").split("\0")
    made: Made = []
    for sha, parents, email, run, subject in zip(*(fields[start::5] for start in range(5)), strict=False):
        if sha in unpushed or run == identity.run_id or (not run and email == identity.email):
            made.append((Commit(sha=sha, subject=subject[:500], pushed=sha not in unpushed), parents.split()))
    return made[::-1]


async def _ends(git: Git, leftover: LeftoverWork, made: Made) -> tuple[str, str]:
    """Return the two trees whose difference is the agent's: the base of its commits, and its end."""
    own = {commit.sha for commit, _ in made}
    end = leftover.head if leftover.head in own or not made else made[-1][0].sha
    below = list(dict.fromkeys(parent for _, parents in made for parent in parents if parent not in own))
    if len(below) > 1:
        # it merged: what it stands on is the newer of the two histories
        below = (await git.text("merge-base", "--independent", *below[:50])).split()
    start = below[0] if len(below) == 1 else leftover.base
    if not made:
        start = leftover.head
    return start, leftover.tree or end


async def _compare(git: Git, start: str, end: str, diff_bytes: int) -> tuple[list[str], str, bytes]:
    compare = ("diff-tree", "-r", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none")
    names = await git.run(*compare, "--name-only", "-z", start, end, limit=1_000_000)
    files = [name.decode(errors="replace") for name in names.split(b"\0") if name]
    stat = (await git.run(*compare, "--stat=100", start, end, limit=diff_bytes)).decode(errors="replace")
    diff = await git.run(*compare, "-p", "--find-renames", start, end, limit=diff_bytes + 1)
    return files, stat, diff


def _cut(diff: bytes, most: int) -> bytes:
    """Return the whole lines that fit; where not even one does, as many bytes as fit."""
    if len(diff) <= most:
        return diff
    return diff[: diff.rfind(b"\n", 0, most) + 1] or diff[:most]
