"""What an agent leaves behind is kept, told, and can be had back."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from repositories import Host, Upstream, agent, files_in, git

from agent.domain.errors import WorkspaceError
from agent.domain.result import WorkspaceReport


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


async def left(host: Host, script: str, run_id: str = "run-1") -> WorkspaceReport:
    """The report of a run whose agent did that."""
    checkout, snapshot = await host.ready(run_id)
    agent(checkout, script)
    return await host.workspaces.collect(host.slot(), snapshot, run_id)


async def test_commits_and_uncommitted_changes_come_back_as_they_were(host: Host) -> None:
    await left(
        host, "echo 1 > one; git add one; git commit -qm one; echo 2 > two; rm README; chmod +x src/a.txt; ln -s two l"
    )
    restored = await host.restored("run-1")
    assert git(restored, "log", "--format=%s").splitlines() == ["one", "change"]
    assert git(restored, "status", "--porcelain").splitlines() == ["D README", " M src/a.txt", "?? l", "?? two"]
    assert files_in(restored) == files_in(host.slot() / "checkout")
    assert os.access(restored / "src/a.txt", os.X_OK)
    assert git(restored, "rev-parse", "--abbrev-ref", "HEAD") == "agent-run/run-1"


async def test_a_restored_clone_needs_nothing_of_the_service_and_can_push(host: Host, upstream: Upstream) -> None:
    await left(host, "echo 1 > one; git add one; git commit -qm one")
    restored = await host.restored("run-1")
    host.state.rename(host.state.with_name("gone"))
    git(restored, "fsck", "--strict")
    git(restored, "push", "--quiet", "origin", "HEAD:rescued")
    assert upstream.log("rescued")[0] == "one"


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("git checkout -q --detach; echo x > x; git add x; git commit -qm x; git checkout -q main", None),
        ("git checkout -qb side; echo x > x; git add x; git commit -qm x; git checkout -q main", "refs/heads/side"),
        ("echo x >> README; git stash -q", "stash"),
        ("echo x >> README; git stash -q; echo y >> README; git stash -q", "stash"),
        ("git worktree add -q --detach wt; cd wt; echo x > x; git add x; git commit -qm x", "worktree wt"),
        ("echo x > x; git add x; git commit -qm x; git tag keep; git reset -q --hard HEAD~1", "refs/tags/keep"),
    ],
)
async def test_whatever_has_a_name_is_kept(host: Host, script: str, name: str | None) -> None:
    report = await left(host, script)
    assert (report.kept_ref is not None) is (name is not None)
    if name is not None:
        message = git(host.kept(), "log", "-1", "--format=%B", "refs/agent-runs/run-1")
        assert name in message
        assert "1 unpushed commit" in message or "unpushed commits" in message


async def test_work_in_the_middle_of_a_rebase_is_kept(host: Host) -> None:
    await left(
        host,
        "git checkout -qb side; echo 1 > README; git commit -qam 'side work'; git checkout -q main; "
        "echo 2 > README; git commit -qam 'main work'; git rebase side || true",
    )
    kept = git(host.kept(), "log", "--format=%s", "refs/agent-runs/run-1")
    assert {"side work", "main work"} <= set(kept.splitlines())


async def test_work_that_was_pushed_is_not_kept(host: Host) -> None:
    report = await left(host, "echo x > x; git add x; git commit -qm x; git push -q origin HEAD:refs/heads/agents/x")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("x", True)]
    assert report.kept_ref is None


async def test_what_the_agent_says_it_pushed_is_not_believed(host: Host) -> None:
    report = await left(host, "echo x > x; git add x; git commit -qm x; git update-ref refs/remotes/origin/main HEAD")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("x", False)]
    assert report.kept_ref == "refs/agent-runs/run-1"


async def test_with_the_remote_away_everything_is_kept_and_the_report_says_why(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    agent(checkout, "echo x > x; git add x; git commit -qm x; git push -q")
    upstream.go_away()
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.kept_ref == "refs/agent-runs/run-1"
    assert any("could not be verified" in note for note in report.notes)


async def test_a_force_push_under_a_running_agent_loses_nothing(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    agent(checkout, "echo x > x; git add x; git commit -qm x")
    git(upstream.clone, "commit", "--quiet", "--amend", "--message", "rewritten")
    git(upstream.clone, "push", "--quiet", "--force", "origin", "HEAD:main")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert [commit.subject for commit in report.commits] == ["x"]
    assert report.files_changed == ["x"]
    assert git(await host.restored("run-1"), "log", "--format=%s").splitlines() == ["x", "change"]


async def test_a_rebased_and_pushed_branch_is_reported_once(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    agent(checkout, "echo x > x; git add x; git commit -qm x")
    upstream.push({"theirs": "x"}, "theirs")
    agent(checkout, "git pull -q --rebase; git push -q")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert ([commit.subject for commit in report.commits], report.kept_ref) == (["x"], None)
    assert report.files_changed == ["x"]


async def test_a_commit_message_with_odd_signs_is_reported_in_one_line(host: Host) -> None:
    report = await left(
        host, "printf 'a\\013b\\034c\\342\\200\\250d\\n\\nAgent-Run: x\\n y\\n' | git commit -q --allow-empty -F -"
    )
    assert [commit.subject for commit in report.commits] == ["a\x0bb\x1cc\u2028d"]


async def test_only_ignored_files_are_not_work(host: Host) -> None:
    report = await left(host, "echo x > x.ignored; mkdir d; echo y > d/y.ignored")
    assert (report.kept_ref, report.files_changed) == (None, [])


async def test_a_repository_that_the_agent_cloned_is_kept_as_files(host: Host, upstream: Upstream) -> None:
    report = await left(host, f"git clone -q {upstream.remote} cloned; echo x > cloned/x")
    assert "cloned is a repository of its own: its files are kept, its history is not" in report.notes
    restored = await host.restored("run-1")
    assert (restored / "cloned/x").exists()
    assert (restored / "cloned/README").exists()
    assert not (restored / "cloned/.git").exists()


@pytest.mark.parametrize(
    "script",
    [
        "git clone -q {remote} cloned",
        "git worktree add -q wt",
        "git worktree add -q wt; sed -i s,.*,'gitdir: /elsewhere/.git/worktrees/wt', wt/.git",
    ],
)
async def test_a_repository_that_the_agent_did_nothing_in_is_not_work(
    host: Host, upstream: Upstream, script: str
) -> None:
    report = await left(host, script.format(remote=upstream.remote))
    assert (report.files_changed, report.kept_ref) == ([], None)
    await left(host, f"{script.format(remote=upstream.remote)}; echo x > $(ls -d cloned wt 2>&-)/x", "run-2")
    assert [kept.run_id for kept in await host.workspaces.kept()] == ["run-2"]


async def test_changes_in_a_directory_that_became_a_repository_are_kept(host: Host) -> None:
    report = await left(host, "git init -q src; echo x >> src/a.txt; echo y > src/y")
    assert report.files_changed == ["src/a.txt", "src/y"]


async def test_work_past_the_limit_is_set_aside_and_the_report_says_where(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, kept_work_max_bytes=100_000)
    checkout, snapshot = await host.ready("run-1")
    (checkout / "large.bin").write_bytes(os.urandom(200_000))
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.kept_ref is None
    assert "STATE_DIR/set-aside/run-1" in report.notes[0]
    assert (host.state / "set-aside" / "run-1" / "large.bin").exists()
    checkout, _ = await host.ready("run-2")
    assert not (checkout / "large.bin").exists()


async def test_commits_that_cannot_be_read_are_set_aside(host: Host) -> None:
    report = await left(host, "echo x > x; git add x; git commit -qm x; rm -rf .git/objects; mkdir .git/objects")
    assert "the commit that HEAD is on cannot be read" in report.notes[0]
    assert (host.state / "set-aside" / "run-1" / "x").exists()


async def test_commits_past_the_limit_leave_nothing_in_the_mirror(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, kept_work_max_bytes=100_000)
    checkout, snapshot = await host.ready("run-1")
    (checkout / "large.bin").write_bytes(os.urandom(200_000))
    agent(checkout, "git add .; git commit -qm large")
    before = sorted(host.mirror().rglob("*"))
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert "STATE_DIR/set-aside/run-1" in report.notes[0]
    assert sorted(host.mirror().rglob("*")) == before
    assert not [path for path in host.kept().glob("objects/*/*") if path.parent.name != "info"]
    assert agent(host.state / "set-aside" / "run-1", "git log -1 --format=%s") == "large"


async def test_kept_work_is_listed_newest_first_and_dropped_with_age(host: Host) -> None:
    for number in (1, 2):
        await left(host, f"echo {number} > {number}", f"run-{number}")
    listed = await host.workspaces.kept()
    assert {kept.run_id for kept in listed} == {"run-1", "run-2"}
    assert {kept.workspace for kept in listed} == {"default"}
    assert all(kept.subject == "Kept from a run: uncommitted changes" for kept in listed)
    assert await host.workspaces.drop_older_than(1) == []
    dropped = await host.workspaces.drop_older_than(-1)
    assert {kept.run_id for kept in dropped} == {"run-1", "run-2"}
    assert await host.workspaces.kept() == []


async def test_what_was_set_aside_is_dropped_with_age_too(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, kept_work_max_bytes=10)
    await left(host, "echo more-than-ten-bytes > x")
    place = host.state / "set-aside" / "run-1"
    await host.workspaces.drop_older_than(1)
    assert place.exists()
    await host.workspaces.drop_older_than(-1)
    assert not place.exists()


async def test_a_run_that_left_nothing_cannot_be_restored(host: Host, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="nothing is kept of run 'run-1'"):
        await host.restored("run-1")


async def test_restoring_overwrites_nothing(host: Host, tmp_path: Path) -> None:
    await left(host, "echo x > x")
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").write_text("x")
    with pytest.raises(WorkspaceError, match="is not empty"):
        await host.workspaces.restore("run-1", target)
    assert [path.name for path in target.iterdir()] == ["precious"]


@pytest.mark.parametrize("run_id", ["../x", "a/b", "", "-x", "a..b", "a.lock", "a b", "x\n", "a" * 300])
async def test_a_run_id_that_is_no_ref_is_refused(host: Host, run_id: str) -> None:
    _, snapshot = await host.ready()
    with pytest.raises(WorkspaceError, match="refused"):
        await host.workspaces.collect(host.slot(), snapshot, run_id)


async def test_kept_work_stays_when_the_mirror_is_tidied(host: Host, upstream: Upstream) -> None:
    await left(host, "echo x > x; git add x; git commit -qm x")
    await left(host, "echo y > y", "run-0")
    git(upstream.clone, "commit", "--quiet", "--amend", "--message", "rewritten")
    upstream.push({"x": "x"})
    await host.workspaces.sync()
    backdate(host.mirror())
    await host.workspaces.drop_older_than()
    assert git(await host.restored("run-1"), "log", "-1", "--format=%s") == "x"
    checkout, _ = await host.ready("run-2")
    assert agent(checkout, "git fsck --no-dangling 2>&1") == ""


async def test_tidying_takes_nothing_from_a_slot_that_is_at_work(host: Host, upstream: Upstream) -> None:
    upstream.push({"topic.txt": "x"}, branch="topic")
    checkout, _ = await host.ready("run-1", ref="topic")
    git(upstream.remote, "update-ref", "-d", "refs/heads/topic")
    await host.workspaces.sync()
    backdate(host.mirror())
    await host.workspaces.drop_older_than()
    assert agent(checkout, "git fsck --no-dangling 2>&1; cat topic.txt") == "x"


async def test_tidying_gives_the_space_of_what_nobody_needs_back(host: Host, upstream: Upstream) -> None:
    commit = upstream.push({"topic.txt": os.urandom(50_000).hex()}, branch="topic")
    await host.workspaces.sync()
    git(upstream.remote, "update-ref", "-d", "refs/heads/topic")
    await host.workspaces.sync()
    backdate(host.mirror())
    await host.workspaces.drop_older_than()
    assert await asyncio.to_thread(has_not, host.mirror(), commit)


def has_not(repository: Path, commit: str) -> bool:
    return git(repository, "cat-file", "--batch-check", "--batch-all-objects").find(commit) < 0


def backdate(mirror: Path) -> None:
    """As if everything had been there for months."""
    long_ago = time.time() - 100 * 86_400
    for path in mirror.rglob("objects/**/*"):
        os.utime(path, (long_ago, long_ago))
    lost = mirror.with_suffix(".lost")
    if lost.exists():
        lost.write_text(json.dumps(dict.fromkeys(json.loads(lost.read_text()), long_ago)))
