"""A run is told what it did itself, and no more: whatever git commands its agent used."""

import hashlib
import time
from pathlib import Path

import pytest
from repositories import Host, Upstream, agent, git

from agent.domain.checkout import Snapshot
from agent.domain.result import WorkspaceReport

BOT = (
    "git config user.name bot; git config user.email bot@example.com; mkdir -p .husky; git config core.hooksPath .husky"
)


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


class Run:
    """One run, from its checkout to its report."""

    def __init__(self, host: Host, run_id: str = "run-1") -> None:
        self.host, self.run_id = host, run_id
        self.snapshot: Snapshot | None = None

    async def does(self, script: str) -> WorkspaceReport:
        checkout, snapshot = await self.host.ready(self.run_id)
        agent(checkout, script)
        return await self.host.workspaces.collect(self.host.slot(), snapshot, self.run_id)


def pull_request(upstream: Upstream, files: dict[str, str | None], message: str = "theirs", number: int = 5) -> str:
    """A contributor's commit that only refs/pull/N/head has."""
    main = upstream.head()
    commit = upstream.push(files, message, branch=f"pr-{number}")
    git(upstream.remote, "update-ref", f"refs/pull/{number}/head", commit)
    git(upstream.remote, "update-ref", "-d", f"refs/heads/pr-{number}")
    git(upstream.clone, "reset", "--quiet", "--hard", main)
    return commit


def subjects(report: WorkspaceReport) -> list[str]:
    return [commit.subject for commit in report.commits]


@pytest.mark.parametrize(
    "look",
    [
        "git fetch -q origin refs/pull/5/head; git checkout -q FETCH_HEAD",
        "git fetch -q origin refs/pull/5/head:pr; git checkout -q pr",
        "git fetch -q origin refs/pull/5/head; git checkout -q FETCH_HEAD; git fetch -q origin; git checkout -q main",
        "git fetch -q origin refs/pull/5/head; git branch -q theirs FETCH_HEAD; git tag looked FETCH_HEAD",
    ],
)
async def test_looking_at_a_pull_request_is_no_work(host: Host, upstream: Upstream, look: str) -> None:
    pull_request(upstream, {"theirs.txt": "1\n"})
    report = await Run(host).does(look)
    assert (report.commits, report.files_changed, report.kept_ref) == ([], [], None)
    assert await host.workspaces.kept() == []


async def test_a_pull_request_that_moved_since_it_was_looked_at_is_no_work(host: Host, upstream: Upstream) -> None:
    pull_request(upstream, {"theirs.txt": "1\n"})
    checkout, snapshot = await host.ready()
    agent(checkout, "git fetch -q origin refs/pull/5/head; git checkout -q FETCH_HEAD")
    pull_request(upstream, {"theirs.txt": "2\n"}, "rewritten")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert (report.commits, report.files_changed, report.kept_ref) == ([], [], None)


async def test_a_file_changed_in_a_pull_request_that_was_looked_at_is_that_file(host: Host, upstream: Upstream) -> None:
    pull_request(upstream, {"theirs.txt": "1\n"})
    report = await Run(host).does(
        "git fetch -q origin refs/pull/5/head; git checkout -q FETCH_HEAD; echo more >> theirs.txt"
    )
    assert (report.commits, report.files_changed) == ([], ["theirs.txt"])
    assert (await host.restored("run-1") / "theirs.txt").read_text() == "1\nmore\n"


FETCH = "git fetch -q origin refs/pull/5/head; "
COMMIT = "echo x > x; git add x; git commit -qm x; "


@pytest.mark.parametrize(
    ("script", "commits", "files"),
    [
        (
            f"{FETCH}git checkout -q FETCH_HEAD; echo x > x; git add x; git commit -q --amend -m amended",
            ["amended"],
            ["x"],
        ),
        ("echo x > x; git add x; git commit -q --amend -m amended", ["amended"], ["x"]),
        ("git commit -q --amend -m reworded", ["reworded"], []),
        (f"{FETCH}git cherry-pick FETCH_HEAD", ["theirs"], ["theirs.txt"]),
        (f"{FETCH}{COMMIT}git merge -q --no-edit FETCH_HEAD", ["x", "Merge"], ["x"]),
        (f"{FETCH}git checkout -q FETCH_HEAD; {COMMIT}git rebase -q main", ["theirs", "x"], ["x"]),
        (f"{FETCH}git checkout -q FETCH_HEAD; git rebase -q --force-rebase main", ["theirs"], []),
        (f"{FETCH}{COMMIT}git rebase -q FETCH_HEAD", ["third", "x"], ["x"]),
        (f"{COMMIT}echo y > y; git add y; git commit -q --amend -m both", ["both"], ["x", "y"]),
        (
            "git checkout -q HEAD~1; git commit -q --allow-empty -m old; echo y > y; git add y; git commit -qm y",
            ["old", "y"],
            ["y"],
        ),
        (f"git reset -q --soft HEAD~1; {COMMIT}", ["x"], ["x"]),
        (f"git rebase -q --force-rebase HEAD~1; git checkout -q HEAD~1; {COMMIT}", ["third", "x"], ["x"]),
        (f"git reset -q --hard HEAD~1; {COMMIT}", ["x"], ["x"]),
        (f"git checkout -q --orphan pages; git rm -rqf .; {COMMIT}", ["x"], ["x"]),
        (
            f"git checkout -qb side; {COMMIT}git push -q origin side; git checkout -q main; echo y > y",
            ["x"],
            ["y", "x"],
        ),
    ],
)
async def test_a_report_has_the_runs_own_commits_and_files(
    host: Host, upstream: Upstream, script: str, commits: list[str], files: list[str]
) -> None:
    upstream.push({"second.txt": "2\n"}, "second")
    upstream.push({"third.txt": "3\n"}, "third")
    main = upstream.head()
    git(upstream.clone, "checkout", "--quiet", "--detach", "HEAD~1")
    pull_request(upstream, {"theirs.txt": "1\n"})
    git(upstream.clone, "checkout", "--quiet", "--detach", main)
    report = await Run(host).does(script)
    assert [subject.split(" ")[0] for subject in subjects(report)] == commits
    assert sorted(report.files_changed) == sorted(files)


async def test_a_conflict_that_was_resolved_is_work(host: Host, upstream: Upstream) -> None:
    pull_request(upstream, {"README": "theirs\n", "theirs.txt": "1\n"})
    report = await Run(host).does(
        f"{FETCH}echo mine > README; git commit -qam mine; git merge -q FETCH_HEAD || true; "
        "echo both > README; git add README; git commit -q --no-edit"
    )
    assert report.files_changed == ["README"]


async def test_commits_by_another_name_and_without_the_hook_are_the_runs_when_it_pushed_them(
    host: Host, upstream: Upstream
) -> None:
    upstream_files: dict[str, str | None] = {"theirs.txt": "1\n"}
    checkout, snapshot = await host.ready()
    upstream.push(upstream_files, "somebody else's")
    agent(checkout, f"{BOT}; git pull -q; {COMMIT}git push -q")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("x", True)]
    assert (report.files_changed, report.kept_ref) == (["x"], None)


async def test_a_cherry_picked_commit_of_another_run_is_this_runs(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready("run-0")
    agent(checkout, f"{COMMIT}git push -q origin HEAD:refs/heads/other")
    await host.workspaces.collect(host.slot(), snapshot, "run-0")
    report = await Run(host).does("git fetch -q; git cherry-pick origin/other; git push -q")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("x", True)]


async def test_a_push_to_a_ref_that_is_not_mirrored_is_a_push(host: Host, upstream: Upstream) -> None:
    report = await Run(host).does(f"{COMMIT}git push -q origin HEAD:refs/changes/01/1/1")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("x", True)]
    assert (report.files_changed, report.kept_ref) == (["x"], None)


async def test_a_sparse_checkout_tells_only_what_changed(tmp_path: Path, upstream: Upstream) -> None:
    upstream.push({f"{folder}/{number}.txt": "1\n" for folder in "abc" for number in range(10)})
    host = Host(tmp_path / "state", upstream.remote)
    report = await Run(host).does("git sparse-checkout set a; echo 2 >> a/1.txt; test ! -e b/1.txt")
    assert report.files_changed == ["a/1.txt"]
    restored = await host.restored("run-1")
    assert (restored / "b/1.txt").exists()
    report = await Run(host, "run-2").does(
        "git sparse-checkout set --sparse-index a; echo 2 >> a/1.txt; git commit -qam a; echo 3 >> a/2.txt"
    )
    assert report.files_changed == ["a/1.txt", "a/2.txt"]
    report = await Run(host, "run-3").does("git update-index --skip-worktree b/1.txt; rm b/1.txt b/2.txt")
    assert report.files_changed == ["b/2.txt"]


async def test_content_that_lfs_put_in_place_of_its_pointer_is_no_change(host: Host, upstream: Upstream) -> None:
    names = {"same.bin": b"large\n", "other.bin": b"before\n"}
    for name, content in names.items():
        digest = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
        upstream.push({name: pointer})
    report = await Run(host).does("echo large > same.bin; echo after > other.bin")
    assert report.files_changed == ["other.bin"]


WORKTREE = "git worktree add -q .claude/worktrees/wx; cd .claude/worktrees/wx; "


@pytest.mark.parametrize(
    ("script", "files"),
    [
        (f"{WORKTREE}echo x > new.txt", [".claude/worktrees/wx/new.txt"]),
        (f"{WORKTREE}echo x > new.txt; git add new.txt", [".claude/worktrees/wx/new.txt"]),
        (f"{WORKTREE}echo x >> README", [".claude/worktrees/wx/README"]),
        (f"{WORKTREE}{COMMIT}echo y > y", ["x", ".claude/worktrees/wx/y"]),
        (f"git worktree add -q --detach wt; cd wt; {COMMIT}", ["x"]),
    ],
)
async def test_work_in_a_linked_worktree_is_kept_whatever_the_size_around_it(
    host: Host, upstream: Upstream, script: str, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.workspaces.leftover_work.REPOSITORY_BYTES", 1)
    upstream.push({".gitignore": ".claude/worktrees/\n*.ignored\n"})
    report = await Run(host).does(script)
    assert sorted(report.files_changed) == sorted(files)
    assert report.kept_ref
    restored = await host.restored("run-1")
    assert all((restored / name).exists() for name in files if "/" in name)


async def test_a_submodule_tells_what_changed_in_it(tmp_path: Path, upstream: Upstream) -> None:
    library = Upstream(tmp_path / "library", {"lib.txt": "1\n"})
    git(upstream.clone, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(library.remote), "lib")
    upstream.push({})
    library.push({"lib.txt": "2\n"})
    host = Host(tmp_path / "state", upstream.remote)
    init = "git -c protocol.file.allow=always submodule update -q --init; "
    report = await Run(host).does(init)
    assert (report.files_changed, report.kept_ref) == ([], None)
    report = await Run(host, "run-2").does(f"{init}echo x >> lib/README")
    assert [name for name in report.files_changed if name != "lib"] == ["lib/README"]
    report = await Run(host, "run-3").does(f"{init}cd lib; git checkout -q origin/main")
    assert report.files_changed == ["lib"]
    report = await Run(host, "run-4").does(f"{init}cd lib; git checkout -q origin/main; cd ..; git commit -qam lib")
    assert (subjects(report), report.files_changed) == (["lib"], ["lib"])


async def test_a_clone_in_the_checkout_tells_what_changed_in_it(host: Host, upstream: Upstream) -> None:
    report = await Run(host).does(
        f"git clone -q {upstream.remote} cloned; cd cloned; git config user.email a@b.c; git config user.name a; "
        "echo x > x; git add x; git commit -qm x; echo y > y"
    )
    assert sorted(report.files_changed) == ["cloned/x", "cloned/y"]
    assert (await host.restored("run-1") / "cloned/README").exists()


async def test_a_false_pack_index_does_not_make_work_look_pushed(host: Host, upstream: Upstream) -> None:
    """The agent's objects say that the remote's newest commit stands on its own; the remote's say otherwise."""
    checkout, snapshot = await host.ready()
    newest = upstream.push({"theirs.txt": "1\n"})
    agent(checkout, COMMIT)
    forged = agent(
        checkout,
        'git cat-file commit HEAD | sed "s/^parent .*/parent $(git rev-parse HEAD)/" | '
        "git hash-object -t commit -w --stdin",
    )
    objects = checkout / ".git" / "objects"
    target = objects / newest[:2] / newest[2:]
    target.parent.mkdir(exist_ok=True)
    (objects / forged[:2] / forged[2:]).rename(target)
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.kept_ref or any("set-aside" in note for note in report.notes)


async def test_an_old_date_does_not_hide_what_the_runs_own_name_made(host: Host) -> None:
    report = await Run(host).does(
        f"echo x > x; git add x; GIT_COMMITTER_DATE='{int(time.time()) - 86_400} +0000' git commit -qm x"
    )
    assert (subjects(report), bool(report.kept_ref)) == (["x"], True)
