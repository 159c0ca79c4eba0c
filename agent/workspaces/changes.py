"""Commits, files and diff of a run.

A run's commits stand on others': on what it began with, on what it pulled, merged or rebased onto, and on what it
amended. Its changes are the difference between all of that together, as git merges it, and where the run ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.result import Commit
from agent.domain.values import Frozen
from agent.git.git import SERVICE_IDENTITY, Git, GitError
from agent.system.commands import TimeLimit
from agent.workspaces.leftover_work import LeftoverWork
from agent.workspaces.own_commits import OwnCommits

MAX_COMMITS = 500
MAX_FILES = 1000
MAX_NAMES_BYTES = 1_000_000
# a diff of more than this is not worth a slot
DIFF_SECONDS = 20.0
FORMAT = "--format=%H%x00%P%x00%s"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
MAX_TIPS = 20
MAX_BELOW = 50
WALK = ("rev-list", "--ignore-missing", "--max-count=5000", "--stdin")


@dataclass(frozen=True)
class MadeCommit:
    """A commit that the run made."""

    sha: str
    parents: list[str]
    subject: str


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


Span = tuple[str, str]


async def find_spans(git: Git, leftover: LeftoverWork, made: list[MadeCommit]) -> list[Span]:
    """Return start and end of each line of the run's work, HEAD's first. Raises GitError."""
    tips = await _tips(git, made)
    spans: list[Span] = []
    for tip in sorted(tips, key=lambda sha: sha != leftover.head):
        members = made if len(tips) == 1 else await _members(git, leftover, made, tip)
        is_head = tip == leftover.head and leftover.tree is not None and leftover.before is None
        end = leftover.tree if is_head and leftover.tree else tip
        spans.append((await _start(git, leftover, made, members, end), end))
    has_tree = any(end == leftover.tree for _, end in spans)
    if leftover.tree is not None and not has_tree:
        spans.insert(1 if leftover.head in tips else 0, (leftover.before or leftover.head, leftover.tree))
    return spans


async def _tips(git: Git, made: list[MadeCommit]) -> list[str]:
    parents = {parent for commit in made for parent in commit.parents}
    tips = [commit.sha for commit in made if commit.sha not in parents][-MAX_TIPS:]
    if len(tips) < 2:
        return tips
    return (await git.text("merge-base", "--independent", *tips)).split()


async def _members(git: Git, leftover: LeftoverWork, made: list[MadeCommit], tip: str) -> list[MadeCommit]:
    listing = await git.text(*WALK, stdin=f"{tip}\n^{leftover.base}\n".encode())
    reachable = set(listing.split())
    return [commit for commit in made if commit.sha in reachable]


async def _start(git: Git, leftover: LeftoverWork, made: list[MadeCommit], members: list[MadeCommit], end: str) -> str:
    """Return the tree of everything that those commits stand on."""
    own = {commit.sha for commit in made} | leftover.history.made
    below = [parent for commit in members for parent in commit.parents if parent not in own]
    amended = [sha for commit in members for sha in leftover.history.predecessors(commit.sha) if sha not in own]
    rewound = [leftover.history.left.get(commit.sha, "") for commit in members]
    known = await _existing(git, [*below, *amended, *(sha for sha in rewound if sha and sha not in own)])
    start = await _merged(git, [sha for sha in dict.fromkeys([*below, *amended]) if sha in known][-MAX_BELOW:])
    for other in dict.fromkeys(rewound):
        # commits that were squashed into one stand on what they were, and not on what the first of them stood on
        if other in known and await _count(git, other, end) < await _count(git, start, end):
            start = other
    return start


async def _existing(git: Git, commits: list[str]) -> set[str]:
    if not commits:
        return set()
    asked = "".join(f"{sha}^{{commit}}\n" for sha in dict.fromkeys(commits)).encode()
    answers = await git.text("cat-file", "--batch-check=%(objectname)", stdin=asked)
    return {answer for answer in answers.split("\n") if len(answer) == 40}


async def _merged(git: Git, commits: list[str]) -> str:
    """Return a tree with all that those commits have, as git merges them; conflicts stay marked in it."""
    if len(commits) > 1:
        commits = (await git.text("merge-base", "--independent", *commits)).split()
    if not commits:
        return EMPTY_TREE
    merged = commits[0]
    for other in commits[1:]:
        tree = await _merge_two(git, merged, other)
        work = git.with_environment(SERVICE_IDENTITY)
        merged = await work.text("commit-tree", tree, "-p", merged, "-p", other, "-m", "merged")
    return merged


async def _merge_two(git: Git, one: str, other: str) -> str:
    merge = ("merge-tree", "--write-tree", "--no-messages", "--allow-unrelated-histories", one, other)
    try:
        output = await git.run(*merge)
    except GitError as error:
        if error.exit_status != 1:
            raise
        output = error.stdout
    return output[:40].decode()


async def _count(git: Git, start: str, end: str) -> int:
    names = await git.run("diff-tree", "-r", "--name-only", "-z", start, end, limit=MAX_NAMES_BYTES)
    return names.count(b"\0")
