"""Commits, files and diff of a run."""

from __future__ import annotations

from agent.domain.result import Commit
from agent.domain.values import Frozen
from agent.git.git import Git, GitError
from agent.system.commands import TimeLimit
from agent.workspaces.leftover_work import LeftoverWork
from agent.workspaces.own_commits import OwnCommits
from agent.workspaces.spans import MadeCommit, find_spans

MAX_COMMITS = 500
MAX_FILES = 1000
MAX_NAMES_BYTES = 1_000_000
# a diff of more than this is not worth a slot
DIFF_SECONDS = 20.0
FORMAT = "--format=%H%x00%P%x00%s"


class Changes(Frozen):
    """The changes of one run: its commits, oldest first, and all of them as one diff."""

    commits: list[Commit] = []
    files: list[str] = []
    more_files: int = 0
    stat: str = ""
    diff: str = ""
    diff_cut: bool = False


async def read_changes(git: Git, leftover: LeftoverWork, own: OwnCommits, diff_bytes: int) -> Changes:
    """Return the changes of the run; commits of others that it fetched are not among them.

    `git` reads objects that were checked. What it cannot show within its limits is told in the leftover work's notes.
    """
    made = await _read_commits(git, own)
    if not made and leftover.tree is None:
        return Changes()
    reader = git.with_time_limit(TimeLimit(DIFF_SECONDS))
    files: dict[str, None] = {}
    stats, diff = [], b""
    try:
        for start, end in await find_spans(reader, leftover, made):
            names, stat, more = await _compare(reader, start, end, diff_bytes)
            files |= dict.fromkeys(names)
            stats.append(stat)
            diff += more
    except GitError as error:
        leftover.notes.append(f"the changes cannot be shown whole: {error}")
    listed = list(files)
    return Changes(
        commits=[Commit(sha=one.sha, subject=one.subject[:500], pushed=one.sha not in own.unpushed) for one in made],
        files=listed[:MAX_FILES],
        more_files=max(0, len(listed) - MAX_FILES),
        stat="".join(stats),
        diff=_cut(diff, diff_bytes).decode(errors="replace"),
        diff_cut=len(diff) > diff_bytes,
    )


async def _read_commits(git: Git, own: OwnCommits) -> list[MadeCommit]:
    """Return the newest of the run's commits as the checked objects have them, oldest first."""
    if not own.made:
        return []
    newest = own.made[-MAX_COMMITS:]
    listing = await git.run(
        *("log", "-z", "--no-walk=unsorted", "--ignore-missing", FORMAT, "--stdin"),
        stdin="".join(f"{sha}\n" for sha in newest).encode(),
    )
    fields = listing.decode(errors="replace").split("\0")
    entries = zip(*(fields[start::3] for start in range(3)), strict=False)
    return [MadeCommit(sha, parents.split(), subject) for sha, parents, subject in entries]


async def _compare(git: Git, start: str, end: str, diff_bytes: int) -> tuple[list[str], str, bytes]:
    compare = ("diff-tree", "-r", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none")
    names = await git.run(*compare, "--name-only", "-z", start, end, limit=MAX_NAMES_BYTES)
    files = [name.decode(errors="replace") for name in names.split(b"\0") if name]
    stat = (await git.run(*compare, "--stat=100", start, end, limit=diff_bytes)).decode(errors="replace")
    diff = await git.run(*compare, "-p", "--find-renames", start, end, limit=diff_bytes + 1)
    return files, stat, diff


def _cut(diff: bytes, most: int) -> bytes:
    """Return the whole lines that fit; where not even one does, as many bytes as fit."""
    if len(diff) <= most:
        return diff
    return diff[: diff.rfind(b"\n", 0, most) + 1] or diff[:most]
