"""Random sequences of what agents do with git, and what must be true of the report of each.

The truth is in the names: upstream's commits have upstream's committer, all others are the agent's, under whatever
name it made them. The service does not know upstream's name, and has to find out by itself.
"""

import random
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from repositories import AGENT_ENVIRONMENT, ENVIRONMENT, Host, Upstream, run

from agent.domain.result import WorkspaceReport

UPSTREAM = "upstream@example.com"
LENGTH = 14
REFS = ("main", "side", "other", "origin/main", "FETCH_HEAD", "HEAD~1", "looked")


@dataclass
class Walk:
    """One sequence, made from its seed."""

    seed: int
    lines: list[str] = field(default_factory=list)
    copied: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.number = 0
        for _ in range(self.random.randint(1, LENGTH)):
            weights = [weight for _, weight in DEEDS]
            deed = self.random.choices([deed for deed, _ in DEEDS], weights)[0]
            self.lines.append(deed(self))

    def name(self) -> str:
        self.number += 1
        return f"mine-{self.seed}-{self.number}"

    def ref(self) -> str:
        return self.random.choice(REFS)

    def script(self) -> str:
        """The shell script; what git refuses is left as it was before."""
        return "\n".join(f"( {line} ) > /dev/null 2>&1 || true" for line in self.lines)


def write(walk: Walk) -> str:
    name = walk.name()
    return f"echo {name} > {name}.txt"


def commit(walk: Walk) -> str:
    name = walk.name()
    return f"echo {name} > {name}.txt; git add {name}.txt; git commit -qm {name}"


def edit(walk: Walk) -> str:
    name = walk.name()
    return f"echo {name} >> shared.txt; git commit -qm {name} shared.txt"


def amend(walk: Walk) -> str:
    name = walk.name()
    return f"echo {name} > {name}.txt; git add {name}.txt; git commit -q --amend -m {name}"


def branch(walk: Walk) -> str:
    return f"git checkout -q -B {walk.random.choice(('side', 'other'))} {walk.random.choice(('', walk.ref()))}"


def switch(walk: Walk) -> str:
    return f"git checkout -q {walk.ref()}"


def merge(walk: Walk) -> str:
    return f"git merge -q --no-edit {walk.random.choice(('', '--no-ff'))} {walk.ref()} || git merge --abort"


def rebase(walk: Walk) -> str:
    return f"git rebase -q {walk.random.choice(('', '--force-rebase'))} {walk.ref()} || git rebase --abort"


def cherry_pick(walk: Walk) -> str:
    walk.copied = True
    return f"git cherry-pick {walk.ref()} || git cherry-pick --abort"


def reset(walk: Walk) -> str:
    # what it does with others' commits below is the agent's to answer for
    walk.copied = True
    return f"git reset -q {walk.random.choice(('--hard', '--soft'))} {walk.ref()}"


def stash(walk: Walk) -> str:
    return walk.random.choice((f"{write(walk)}; git stash -qu", "git stash pop -q", "git stash -q"))


def look(walk: Walk) -> str:
    return "git fetch -q origin refs/pull/5/head; " + walk.random.choice(
        ("git checkout -q FETCH_HEAD", "git branch -f looked FETCH_HEAD", "git tag -f looked FETCH_HEAD", "true")
    )


def fetch(walk: Walk) -> str:
    return walk.random.choice(("git fetch -q", "git pull -q --rebase", "git pull -q --no-rebase --no-edit"))


def upstream_moves(walk: Walk) -> str:
    return f"theirs theirs-{walk.name()[5:]}"


def push(walk: Walk) -> str:
    target = walk.random.choice(("main", "agents", "refs/changes/1/1", "agents"))
    target = target if target.startswith("refs/") else f"refs/heads/{target}"
    return f"git push -q {walk.random.choice(('', '--force'))} origin HEAD:{target}"


def worktree(walk: Walk) -> str:
    name = walk.name()
    work = walk.random.choice((f"echo {name} > {name}.txt", commit(walk), "true"))
    return f"git worktree add -q {walk.random.choice(('', '--detach'))} wt/{name}; cd wt/{name}; {work}"


def sparse(walk: Walk) -> str:
    return walk.random.choice(("git sparse-checkout set src", "git sparse-checkout disable"))


def submodule(walk: Walk) -> str:
    init = "git -c protocol.file.allow=always submodule update -q --init"
    return walk.random.choice((init, f"{init}; echo {walk.name()} > lib/{walk.name()}.txt"))


def tidy(walk: Walk) -> str:
    return walk.random.choice(("git gc -q", "git repack -adq", "git pack-refs --all", "git remote prune origin"))


def another_name(walk: Walk) -> str:
    bot = "git config user.name bot; git config user.email bot@example.com"
    return walk.random.choice((bot, f"{bot}; git config core.hooksPath /dev/null"))


def tag(walk: Walk) -> str:
    return f"git tag -f {walk.name()}"


DEEDS = (
    *((write, 2), (commit, 6), (edit, 2), (amend, 3), (branch, 3), (switch, 4), (merge, 3), (rebase, 3)),
    *((cherry_pick, 1), (reset, 1), (stash, 2), (look, 4), (fetch, 3), (upstream_moves, 2), (push, 3)),
    *((worktree, 2), (sparse, 1), (submodule, 1), (tidy, 1), (another_name, 1), (tag, 1)),
)

THEIRS = """\
theirs() {
  ( cd "$DEVELOPER"; export GIT_COMMITTER_NAME=U GIT_COMMITTER_EMAIL=upstream@example.com GIT_AUTHOR_NAME=U
    export GIT_AUTHOR_EMAIL=upstream@example.com; git fetch -q; git reset -q --hard origin/main
    echo $1 > $1.txt; git add .; git commit -qm $1; git push -q origin HEAD:main )
}
"""


class Field:
    """A remote with a submodule and a pull request, and a host."""

    def __init__(self, directory: Path) -> None:
        library = Upstream(directory / "library")
        self.upstream = Upstream(directory / "upstream", {"shared.txt": "shared\n", "other/o.txt": "o\n"})
        clone = self.upstream.clone
        add = ["git", "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(library.remote), "lib"]
        run(add, clone, ENVIRONMENT)
        main = self.upstream.push({"second.txt": "2\n"}, "second")
        pull = self.upstream.push({"theirs.txt": "pr\n"}, "pull request", branch="pr")
        script = f"git update-ref refs/pull/5/head {pull}; git update-ref -d refs/heads/pr; "
        run(["sh", "-euc", script + f"git update-ref refs/heads/main {main}"], self.upstream.remote, ENVIRONMENT)
        self.host = Host(directory / "state", self.upstream.remote)

    async def check(self, walk: Walk) -> None:
        """Let an agent do it; raises AssertionError if the report is not the truth or something is lost."""
        run_id = f"walk-{walk.seed}"
        before = set(run(["git", "rev-list", "--all"], self.upstream.remote, ENVIRONMENT).split())
        checkout, snapshot = await self.host.ready(run_id)
        developer = shlex.quote(str(self.upstream.clone))
        run(["sh", "-c", f"DEVELOPER={developer}\n{THEIRS}\n{walk.script()}"], checkout, AGENT_ENVIRONMENT)
        truth = Truth.of(checkout, self.upstream.remote, before, walk.seed)
        report = await self.host.workspaces.collect(self.host.slot(), snapshot, run_id)
        truth.compare(report, self.kept_commits(report), walk)

    def kept_commits(self, report: WorkspaceReport) -> set[str]:
        if report.kept_ref is None:
            return set()
        return set(run(["git", "rev-list", report.kept_ref], self.host.kept(), ENVIRONMENT).split())


@dataclass(frozen=True)
class Truth:
    """What is in a checkout, asked of the agent's own git."""

    mine: set[str]
    remote: set[str]
    dirty: set[str]
    present: set[str]

    @classmethod
    def of(cls, checkout: Path, remote: Path, before: set[str], seed: int) -> "Truth":
        script = (
            "git log -z --format='%H %ce' --all HEAD $(git stash list --format=%H) --; echo; echo ==; "
            "git status --porcelain -z --untracked-files=all --ignore-submodules=none; echo; echo ==; "
            "for w in wt/*/; do test -d $w && git -C $w status --porcelain -z --untracked-files=all | "
            "tr '\\0' '\\n' | sed \"s,^\\(...\\),\\1$w,\" | tr '\\n' '\\0'; done; echo; echo ==; "
            "test ! -e lib/.git || git -C lib status --porcelain -z | sed -z 's,^\\(...\\),\\1lib/,'; echo; echo ==; ls"
        )
        told = run(["sh", "-c", script], checkout, AGENT_ENVIRONMENT).split("\n==\n")
        commits = [entry.strip().split(" ") for entry in told[0].split("\0") if entry.strip()]
        there = set(run(["git", "rev-list", "--all"], remote, ENVIRONMENT).split())
        gone = {entry.strip("\n")[3:] for entry in told[1].split("\0") if "D" in entry.strip("\n")[:2]}
        dirty = {entry.strip("\n")[3:] for part in told[1:4] for entry in part.split("\0") if entry.strip("\n")}
        return cls(
            mine={sha for sha, email in commits if email != UPSTREAM} - before,
            remote=there,
            # what a commit of the run added and its working tree no longer has is no change in the end
            dirty={path for path in dirty if _is_file(path) and not (path in gone and f"mine-{seed}-" in path)},
            present={name for name in told[4].split() if name.startswith(f"mine-{seed}-")},
        )

    def compare(self, report: WorkspaceReport, kept: set[str], walk: Walk) -> None:
        told = {commit.sha: commit.pushed for commit in report.commits}
        assert not any("set-aside" in note for note in report.notes), report.notes
        assert not any("cannot be shown" in note for note in report.notes), report.notes
        assert set(told) == self.mine, f"commits: told {set(told) - self.mine}, not told {self.mine - set(told)}"
        assert {sha for sha, pushed in told.items() if pushed} == self.mine & self.remote, "pushed"
        assert self.mine - self.remote <= kept, "a commit is lost"
        assert (report.kept_ref is not None) == bool(self.mine - self.remote or self.dirty), f"kept: {self.dirty}"
        files = set(report.files_changed)
        assert self.dirty <= files, f"a change is not told: {self.dirty - files}"
        assert self.present <= files, f"a file is not told: {self.present - files}"
        theirs = {name for name in files if "mine-" not in name and name != "shared.txt"}
        assert walk.copied or not theirs, f"others' files are told: {theirs}"


def _is_file(path: str) -> bool:
    return path.rstrip("/") not in ("lib", "wt") and not path.endswith("/")
