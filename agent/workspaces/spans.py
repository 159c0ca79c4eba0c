"""Finds the pairs of trees whose differences are a run's own changes, and nobody else's.

A run's commits stand on others': on what it began with, on what it pulled, merged or rebased onto, and on what it
amended. The first tree of a pair is all of that together, as git merges it; the second is where the run ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.git.git import SERVICE_IDENTITY, Git, GitError
from agent.workspaces.leftover_work import LeftoverWork

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
MAX_TIPS = 20
MAX_BELOW = 50
MAX_NAMES_BYTES = 1_000_000
WALK = ("rev-list", "--ignore-missing", "--max-count=5000", "--stdin")


@dataclass(frozen=True)
class MadeCommit:
    """A commit that the run made."""

    sha: str
    parents: list[str]
    subject: str


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
