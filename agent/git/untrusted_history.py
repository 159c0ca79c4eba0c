"""Reads from an agent's reflogs and FETCH_HEAD which commits were made in its checkout, and which were fetched.

All of it is the agent's word: it decides how a commit is reported, never if one is on the remote.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agent.system.openat import read_inside

MAX_LOGS = 1_000
MAX_ENTRIES = 50_000
NOTHING = "0" * 40
STEP = re.compile(r"\(([a-z]+)\)$")
# the steps of a rebase and of a cherry-pick that write a commit
WRITING = ("pick", "reword", "edit", "squash", "fixup", "continue", "merge")


@dataclass
class UntrustedHistory:
    """The commits that reflogs name: `made` here, and by what they `replaced`; `left` by a reset before the next one.

    `pushed` is what pushes made of the remote's refs, `fetched` what the last fetch brought, `foundations` what
    commits stood on that were made here and replaced.
    """

    made: set[str] = field(default_factory=set)
    replaced: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    pushed: set[str] = field(default_factory=set)
    fetched: set[str] = field(default_factory=set)
    foundations: dict[str, list[str]] = field(default_factory=dict)

    @property
    def replaced_own(self) -> list[str]:
        """Return the commits that were made here and replaced by others."""
        return sorted(self.made.intersection(self.replaced.values()))

    @property
    def others(self) -> set[str]:
        """Return the commits of others that the run replaced, or whose changes it squashed."""
        stood_on = (commit for commits in self.foundations.values() for commit in commits)
        return {*self.replaced.values(), *self.left.values(), *stood_on} - self.made

    def predecessors(self, commit: str) -> list[str]:
        """Return the commits of others that the commit replaced, itself or by way of others."""
        seen: list[str] = []
        found: list[str] = []
        while (commit := self.replaced.get(commit, "")) and commit not in seen:
            seen.append(commit)
            found += self.foundations.get(commit, []) if commit in self.made else [commit]
        return found

    def note_parents(self, parents: dict[str, list[str]]) -> None:
        """Find what the replaced commits stood on, from the parents of theirs and of what lies below them."""
        for commit in self.replaced_own:
            waiting, seen = [commit], {commit}
            while waiting:
                below = waiting.pop()
                # what a commit replaced, it stands on as well as on its parents
                for parent in (*parents.get(below, []), *filter(None, [self.replaced.get(below)])):
                    if parent in self.made and parent not in seen:
                        waiting.append(parent)
                    elif parent not in self.made:
                        self.foundations.setdefault(commit, []).append(parent)
                    seen.add(parent)


def read_untrusted_history(git_dir: Path) -> UntrustedHistory:
    """Return what the git directory's reflogs say; nothing if it is no git directory."""
    history = UntrustedHistory()
    try:
        root = os.open(git_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return history
    try:
        for name in _log_names(root):
            _read_log(history, read_inside(root, name))
        for name in _logs_below(root, "logs/refs/remotes"):
            for line in read_inside(root, name).split(b"\n")[-MAX_ENTRIES:]:
                if line.endswith(b"\tupdate by push"):
                    history.pushed.add(line[41:81].decode(errors="replace"))
        for line in read_inside(root, "FETCH_HEAD").split(b"\n")[:MAX_ENTRIES]:
            # what it fetched from a repository of its own, in the checkout, may be its own work
            if len(line) > 40 and b" of ." not in line:
                history.fetched.add(line[:40].decode(errors="replace"))
    finally:
        os.close(root)
    return history


def _log_names(root: int) -> Iterator[str]:
    yield "logs/HEAD"
    try:
        worktrees = [entry.name for entry in islice(os.scandir(f"/proc/self/fd/{root}/worktrees"), 100)]
    except OSError:
        worktrees = []
    yield from (f"worktrees/{name}/logs/HEAD" for name in worktrees)
    yield from _logs_below(root, "logs/refs/heads")


def _logs_below(root: int, directory: str) -> Iterator[str]:
    try:
        walk = os.fwalk(directory, dir_fd=root)
        paths = (f"{parent}/{name}" for parent, _, names, _ in walk for name in names)
        yield from islice(paths, MAX_LOGS)
    except OSError:
        return


def _read_log(history: UntrustedHistory, content: bytes) -> None:
    rebased_from = reset_from = ""
    for line in content.split(b"\n")[-MAX_ENTRIES:]:
        head, _, text = line.decode(errors="replace").partition("\t")
        old, new = head[:40], head[41:81]
        action, _, rest = text.partition(": ")
        step = STEP.search(action)
        if step is None or step[1] in ("finish", "abort"):
            rebased_from = rebased_from if action == "commit" else ""
        if len(new) < 40 or old == new:
            continue
        if step and step[1] == "start":
            rebased_from = old
        elif action == "reset":
            reset_from = old
        elif _wrote(action, step[1] if step else None, rest):
            # within one second a rebase can write the very commit again
            is_new, reset_before, reset_from = new not in history.made, reset_from, ""
            history.made.add(new)
            if not is_new:
                continue
            if action == "commit (amend)":
                history.replaced[new] = old
            elif rebased_from:
                history.replaced[new] = rebased_from
            elif reset_before:
                history.left[new] = reset_before


def _wrote(action: str, step: str | None, rest: str) -> bool:
    """True if an entry of a reflog is a new commit, and not a move to another one."""
    word = action.partition(" ")[0]
    if word in ("commit", "revert", "am"):
        return True
    if rest.lower() == "fast-forward":
        return False
    if word == "cherry-pick" or (step in WRITING and word in ("rebase", "pull")):
        return True
    return word in ("merge", "pull") and rest.startswith("Merge made")
