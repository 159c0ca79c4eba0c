"""Workspaces as a run meets them: fresh, its own, and nothing lost."""

import asyncio
from pathlib import Path

import pytest
from repositories import CountedGit, Host, Upstream, agent, files_in, git

from agent.domain.checkout import Identity
from agent.domain.errors import WorkspaceError
from agent.settings import AgentSettings, WorkspaceConfig
from agent.workspaces.workspaces import Workspaces


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


async def test_a_checkout_is_the_newest_commit_on_a_branch_that_tracks_the_remote(
    host: Host, upstream: Upstream
) -> None:
    newest = upstream.push({"src/b.txt": "b\n"})
    checkout, snapshot = await host.ready()
    assert snapshot.commit == newest
    assert agent(checkout, "git rev-parse HEAD") == newest
    assert agent(checkout, "git status --porcelain --branch") == "## main...origin/main"
    assert agent(checkout, "git remote get-url origin") == str(upstream.remote)
    assert agent(checkout, "git rev-parse --abbrev-ref origin/HEAD") == "origin/main"


async def test_an_agent_pulls_with_rebase_and_pushes_as_in_any_clone(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    upstream.push({"src/theirs.txt": "theirs\n"}, "theirs")
    agent(checkout, "echo mine > mine.txt; git add mine.txt; git commit -qm mine; git pull -q --rebase; git push -q")
    assert upstream.log() == ["mine", "theirs", "change"]
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("mine", True)]
    assert report.files_changed == ["mine.txt"]
    assert report.kept_ref is None


async def test_commits_carry_the_agent_and_the_run(host: Host) -> None:
    checkout, _ = await host.ready("run-7")
    agent(checkout, "echo x > x; git add x; git commit -qm 'add x'")
    assert agent(checkout, "git log -1 --format=%an/%ae/%cn") == "Claude Agent/agent@localhost/Claude Agent"
    assert agent(checkout, "git log -1 --format='%(trailers:only)'").splitlines() == [
        "Agent: tester",
        "Agent-Run: run-7",
    ]


async def test_a_report_tells_commits_files_and_the_diff(host: Host) -> None:
    checkout, snapshot = await host.ready()
    agent(checkout, "echo more >> src/a.txt; git commit -qam more; echo x > new.txt; rm README")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("more", False)]
    assert report.files_changed == ["README", "new.txt", "src/a.txt"]
    assert "3 files changed" in report.diffstat
    assert "+more" in report.diff
    assert report.kept_ref == "refs/agent-runs/run-1"
    assert not report.diff_cut


async def test_a_huge_diff_is_cut_and_says_so(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, diff_max_bytes=500)
    checkout, snapshot = await host.ready()
    (checkout / "big.txt").write_text("line\n" * 10_000)
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.diff_cut
    assert 490 < len(report.diff) <= 500
    assert report.diff.endswith("+line\n")
    assert "10000 insertions" in report.diffstat


async def test_a_run_that_changes_nothing_leaves_nothing(host: Host) -> None:
    checkout, snapshot = await host.ready()
    agent(checkout, "touch README; echo x > cache.ignored")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert (report.commits, report.files_changed, report.kept_ref) == ([], [], None)
    assert await host.workspaces.kept() == []


async def test_what_others_pushed_meanwhile_is_not_the_runs_work(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    upstream.push({"theirs.txt": "theirs\n"}, "theirs")
    agent(
        checkout, "echo mine > mine.txt; git add .; git commit -qm mine; git pull -q --no-rebase --no-edit; git push -q"
    )
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert [commit.subject for commit in report.commits if not commit.subject.startswith("Merge")] == ["mine"]
    assert report.files_changed == ["mine.txt"]


async def test_the_next_run_finds_nothing_of_the_last_one(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready("run-1")
    before = files_in(checkout)
    agent(
        checkout,
        "echo x >> README; rm -r src; mkdir -p deep/er; echo y > deep/er/y; echo z > z.ignored; chmod +x .gitignore",
    )
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    checkout, _ = await host.ready("run-2")
    assert files_in(checkout) == before
    assert agent(checkout, "git status --porcelain --ignored") == ""
    assert not (checkout / "deep").exists()


async def test_caches_stay_where_a_setting_keeps_them(tmp_path: Path, upstream: Upstream) -> None:
    config = WorkspaceConfig(keep=["node_modules", "*.ignored"])
    host = Host(tmp_path / "state", upstream.remote, workspaces={"default": config})
    checkout, snapshot = await host.ready()
    agent(
        checkout, "mkdir -p src/node_modules/x; echo 1 > src/node_modules/x/i.js; echo 2 > a.ignored; echo 3 > gone.txt"
    )
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.files_changed == ["gone.txt"]
    checkout, _ = await host.ready("run-2")
    assert (checkout / "src/node_modules/x/i.js").exists()
    assert (checkout / "a.ignored").exists()
    assert not (checkout / "gone.txt").exists()


async def test_sixteen_runs_at_once_cause_one_fetch_and_each_sees_its_own_tree(
    tmp_path: Path, upstream: Upstream
) -> None:
    counted = CountedGit(tmp_path / "counted")
    host = Host(tmp_path / "state", upstream.remote, counted.environ, fetch_debounce_seconds=15)
    ready = await asyncio.gather(*(host.ready(f"run-{number}", number) for number in range(16)))
    assert counted.count("fetch") == 1
    assert {snapshot.commit for _, snapshot in ready} == {upstream.head()}
    for number, (checkout, _) in enumerate(ready):
        (checkout / "own.txt").write_text(str(number))
    assert [(checkout / "own.txt").read_text() for checkout, _ in ready] == [str(number) for number in range(16)]


async def test_sixteen_agents_that_commit_collect_and_repack_at_once_all_keep_their_commits(host: Host) -> None:
    ready = await asyncio.gather(*(host.ready(f"run-{number}", number) for number in range(16)))

    async def work(number: int) -> None:
        checkout, snapshot = ready[number]
        script = f"echo {number} > {number}.txt; git add .; git commit -qm 'work {number}'; git gc -q; git repack -qad"
        await asyncio.to_thread(agent, checkout, script)
        await host.workspaces.collect(host.slot(number), snapshot, f"run-{number}")

    await asyncio.gather(*(work(number) for number in range(16)))
    kept = {one.run_id: one.ref for one in await host.workspaces.kept()}
    assert set(kept) == {f"run-{number}" for number in range(16)}
    for number in range(16):
        assert git(host.kept(), "show", f"{kept[f'run-{number}']}:{number}.txt") == str(number)
    git(host.mirror(), "fsck", "--strict")


async def test_a_fetch_that_is_fresh_enough_is_not_repeated(tmp_path: Path, upstream: Upstream) -> None:
    counted = CountedGit(tmp_path / "counted")
    host = Host(tmp_path / "state", upstream.remote, counted.environ, fetch_debounce_seconds=600)
    first = await host.workspaces.sync()
    newest = upstream.push({"new.txt": "new\n"})
    assert (await host.workspaces.sync()).commit == first.commit
    assert counted.count("fetch") == 1
    assert (await host.workspaces.sync(fresh=True)).commit == newest


async def test_another_process_makes_use_of_the_same_fetch(tmp_path: Path, upstream: Upstream) -> None:
    counted = CountedGit(tmp_path / "counted")
    settings = {"fetch_debounce_seconds": 600}
    one = Host(tmp_path / "state", upstream.remote, counted.environ, **settings)
    other = Host(tmp_path / "state", upstream.remote, counted.environ, **settings)
    first, second = await asyncio.gather(one.workspaces.sync(), other.workspaces.sync())
    assert first == second
    assert counted.count("fetch") == 1


async def test_an_unknown_workspace_is_refused_with_the_list(tmp_path: Path, upstream: Upstream) -> None:
    docs = WorkspaceConfig(remote=str(upstream.remote))
    host = Host(tmp_path / "state", upstream.remote, workspaces={"docs": docs})
    assert host.workspaces.names() == ["default", "docs"]
    with pytest.raises(WorkspaceError, match="'nope' not found; there are: default, docs") as caught:
        await host.workspaces.sync("nope")
    assert not caught.value.retryable


async def test_an_unknown_ref_is_refused_with_the_branches(host: Host) -> None:
    with pytest.raises(WorkspaceError, match="ref 'nope' not found in workspace 'default'; branches: main") as caught:
        await host.workspaces.sync("default", "nope")
    assert not caught.value.retryable


@pytest.mark.parametrize("ref", ["--upload-pack=touch x", "-x", "a..b", "a b", "HEAD^", "a:b", "x\ny", "@{u}"])
async def test_a_ref_that_git_could_take_for_something_else_is_refused(host: Host, ref: str) -> None:
    with pytest.raises(WorkspaceError, match="refused"):
        await host.workspaces.sync("default", ref)


async def test_a_run_may_start_from_a_branch_a_tag_or_a_commit(host: Host, upstream: Upstream) -> None:
    first = upstream.head()
    git(upstream.clone, "tag", "--annotate", "--message", "one", "v1")
    git(upstream.clone, "push", "--quiet", "origin", "v1")
    side = upstream.push({"side.txt": "side\n"}, branch="feature/side")
    by_ref = {
        ref: await host.workspaces.sync("default", ref) for ref in ("feature/side", "v1", first, first[:10], "main")
    }
    assert {ref: snapshot.commit for ref, snapshot in by_ref.items()} == {
        "feature/side": side,
        "v1": first,
        first: first,
        first[:10]: first,
        "main": first,
    }
    checkout, _ = await host.ready(ref="feature/side")
    assert agent(checkout, "git status --branch --porcelain") == "## feature/side...origin/feature/side"
    checkout, _ = await host.ready("run-2", ref="v1")
    assert agent(checkout, "git describe --tags; git rev-parse --abbrev-ref HEAD").splitlines() == ["v1", "HEAD"]


async def test_a_branch_pushed_a_moment_ago_is_found(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, fetch_debounce_seconds=600)
    await host.workspaces.sync()
    commit = upstream.push({"x": "x"}, branch="just-now")
    assert (await host.workspaces.sync("default", "just-now")).commit == commit


async def test_a_pull_requests_ref_is_fetched_when_it_is_asked_for(host: Host, upstream: Upstream) -> None:
    await host.workspaces.sync()
    commit = upstream.push({"pr.txt": "pr\n"}, branch="pr")
    git(upstream.remote, "update-ref", "refs/pull/7/head", commit)
    git(upstream.remote, "update-ref", "-d", "refs/heads/pr")
    snapshot = await host.workspaces.sync("default", "refs/pull/7/head")
    assert (snapshot.commit, snapshot.branch) == (commit, None)
    checkout, _ = await host.ready(ref="refs/pull/7/head")
    assert (checkout / "pr.txt").exists()


async def test_a_commit_that_no_branch_has_is_fetched_when_it_is_asked_for(host: Host, upstream: Upstream) -> None:
    await host.workspaces.sync()
    git(upstream.remote, "config", "uploadpack.allowAnySHA1InWant", "true")
    commit = upstream.push({"pr.txt": "pr\n"}, branch="pr")
    git(upstream.remote, "update-ref", "-d", "refs/heads/pr")
    assert (await host.workspaces.sync("default", commit)).commit == commit
    with pytest.raises(WorkspaceError, match="not found"):
        await host.workspaces.sync("default", "1" * 40)
    with pytest.raises(WorkspaceError, match="not found"):
        await host.workspaces.sync("default", "refs/pull/1/head")


async def test_a_slot_serves_one_workspace_after_another(tmp_path: Path, upstream: Upstream) -> None:
    other = Upstream(tmp_path / "other", {"only-other.txt": "x\n"})
    config = {"other": WorkspaceConfig(remote=str(other.remote))}
    host = Host(tmp_path / "state", upstream.remote, workspaces=config)
    for name, has in (("default", False), ("other", True), ("default", False)):
        snapshot = await host.workspaces.sync(name)
        checkout = await host.workspaces.checkout(host.slot(), snapshot, Identity(run_id="r"))
        assert (checkout / "only-other.txt").exists() is has
        assert agent(checkout, "git status --porcelain") == ""
        await host.workspaces.collect(host.slot(), snapshot, "r")


async def test_a_checkout_as_workspace_means_its_origin_and_its_branch(tmp_path: Path, upstream: Upstream) -> None:
    upstream.push({"rel.txt": "x\n"}, branch="release")
    infra = tmp_path / "infra"
    git(tmp_path, "clone", "--quiet", "--branch", "release", str(upstream.remote), str(infra))
    newest = upstream.push({"rel.txt": "y\n"}, branch="release")
    before = files_in(infra), git(infra, "rev-parse", "HEAD")
    host = Host(tmp_path / "state", infra)
    _, snapshot = await host.ready()
    assert (snapshot.ref, snapshot.commit) == ("release", newest)
    assert (files_in(infra), git(infra, "rev-parse", "HEAD")) == before


async def test_the_path_of_a_remote_may_be_relative_to_the_checkout(tmp_path: Path, upstream: Upstream) -> None:
    assert git(upstream.clone, "config", "remote.origin.url") == "../remote.git"
    checkout, _ = await Host(tmp_path / "state", upstream.clone).ready()
    assert agent(checkout, "git remote get-url origin") == str(upstream.remote)


async def test_a_checkout_without_a_remote_is_its_own_and_never_stale(tmp_path: Path, upstream: Upstream) -> None:
    git(upstream.clone, "remote", "remove", "origin")
    host = Host(tmp_path / "state", upstream.clone)
    checkout, snapshot = await host.ready()
    assert (snapshot.commit, snapshot.stale) == (upstream.head(), False)
    assert files_in(checkout) == files_in(upstream.clone)


async def test_a_detached_checkout_without_a_remote_gives_its_commit(tmp_path: Path, upstream: Upstream) -> None:
    git(upstream.clone, "remote", "remove", "origin")
    git(upstream.clone, "checkout", "--quiet", "--detach")
    git(upstream.clone, "commit", "--quiet", "--allow-empty", "--message", "detached")
    snapshot = await Host(tmp_path / "state", upstream.clone).workspaces.sync()
    assert snapshot.commit == upstream.head()


async def test_a_linked_worktree_may_be_the_workspace(tmp_path: Path, upstream: Upstream) -> None:
    linked = tmp_path / "linked"
    git(upstream.clone, "remote", "set-url", "origin", str(upstream.remote))
    git(upstream.clone, "worktree", "add", "--quiet", "-b", "linked", str(linked))
    git(upstream.clone, "push", "--quiet", "origin", "linked")
    snapshot = await Host(tmp_path / "state", linked).workspaces.sync()
    assert (snapshot.branch, snapshot.commit) == ("linked", upstream.head())


async def test_without_any_workspace_one_is_made(tmp_path: Path) -> None:
    settings = AgentSettings(state_dir=tmp_path / "state")
    snapshot = await Workspaces(settings).sync()
    assert snapshot.branch == "main"
    assert (tmp_path / "state" / "workspace" / ".git").is_dir()


@pytest.mark.parametrize(("make", "says"), [(False, "there is no such directory"), (True, "not a git repository")])
async def test_a_workspace_that_is_no_repository_is_explained(tmp_path: Path, make: bool, says: str) -> None:
    place = tmp_path / "place"
    if make:
        place.mkdir()
    with pytest.raises(WorkspaceError, match=says):
        await Host(tmp_path / "state", place).workspaces.sync()


async def test_a_remote_that_is_away_gives_a_retryable_error_or_the_last_good_state(
    host: Host, upstream: Upstream
) -> None:
    good = await host.workspaces.sync()
    upstream.go_away()
    with pytest.raises(WorkspaceError, match="git fetch failed") as caught:
        await host.workspaces.sync()
    assert caught.value.retryable
    stale = await host.workspaces.sync(allow_stale=True)
    assert (stale.commit, stale.stale) == (good.commit, True)
    assert "does not appear to be a git repository" in (stale.stale_reason or "")
    checkout = await host.workspaces.checkout(host.slot(), stale, Identity(run_id="r"))
    assert (checkout / "README").exists()
    report = await host.workspaces.collect(host.slot(), stale, "r")
    assert (report.stale, report.stale_reason) == (True, stale.stale_reason)
    upstream.come_back()
    assert not (await host.workspaces.sync(allow_stale=True, fresh=True)).stale


async def test_a_strict_workspace_gives_no_old_state(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, workspace_strict=True)
    await host.workspaces.sync()
    upstream.go_away()
    with pytest.raises(WorkspaceError):
        await host.workspaces.sync(allow_stale=True)


async def test_a_remote_that_was_never_there_gives_no_old_state(tmp_path: Path) -> None:
    host = Host(tmp_path / "state", f"file://{tmp_path}/nothing.git")
    with pytest.raises(WorkspaceError, match="is the remote there") as caught:
        await host.workspaces.sync(allow_stale=True)
    assert caught.value.retryable


async def test_an_empty_remote_is_explained(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    with pytest.raises(WorkspaceError, match="no commit yet; push one"):
        await Host(tmp_path / "state", tmp_path / "empty.git").workspaces.sync()


async def test_a_checkout_made_ready_for_nobody_can_be_given_to_a_run(host: Host) -> None:
    snapshot = await host.workspaces.sync()
    checkout = await host.workspaces.checkout(host.slot(), snapshot, Identity())
    await host.workspaces.identify(host.slot(), Identity(agent="late", run_id="run-9", name="Late"))
    agent(checkout, "echo x > x; git add x; git commit -qm x")
    assert agent(checkout, "git log -1 --format='%an %(trailers:key=Agent-Run,valueonly)'").split() == ["Late", "run-9"]
    report = await host.workspaces.collect(host.slot(), snapshot, "run-9")
    assert report.kept_ref == "refs/agent-runs/run-9"


async def test_a_post_checkout_command_prepares_each_checkout_and_its_changes_are_not_the_agents(
    tmp_path: Path, upstream: Upstream
) -> None:
    config = WorkspaceConfig(post_checkout=["sh", "-c", "echo unlocked > README; echo made > made.txt"])
    host = Host(tmp_path / "state", upstream.remote, workspaces={"default": config})
    checkout, snapshot = await host.ready()
    assert (checkout / "README").read_text() == "unlocked\n"
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert (report.files_changed, report.kept_ref) == ([], None)
    checkout, snapshot = await host.ready("run-2")
    agent(checkout, "echo agent >> src/a.txt")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-2")
    assert report.files_changed == ["src/a.txt"]


async def test_a_post_checkout_command_that_fails_says_why(tmp_path: Path, upstream: Upstream) -> None:
    config = WorkspaceConfig(post_checkout=["sh", "-c", "echo no key >&2; exit 3"])
    host = Host(tmp_path / "state", upstream.remote, workspaces={"default": config})
    with pytest.raises(WorkspaceError, match="post_checkout failed: exit status 3: no key"):
        await host.ready()


async def test_an_agent_needs_to_read_the_mirrors_objects_and_a_remote_on_this_machine(
    host: Host, upstream: Upstream
) -> None:
    snapshot = await host.workspaces.sync()
    assert host.workspaces.read_paths(snapshot) == [host.mirror() / "objects", upstream.remote]
