"""A ref means what git says it means, and what the remote says now."""

import asyncio
import time
from pathlib import Path

import pytest
from repositories import Host, Upstream, agent, git

from agent.domain.errors import WorkspaceError
from agent.mirrors.mirror_lock import MirrorBusy, hold_lock
from agent.settings import WorkspaceConfig


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


def branch(upstream: Upstream, name: str, commit: str) -> None:
    git(upstream.remote, "update-ref", f"refs/heads/{name}", commit)


async def test_the_default_branch_is_the_one_that_the_remotes_head_names(host: Host, upstream: Upstream) -> None:
    branch(upstream, "develop", upstream.head())
    git(upstream.remote, "symbolic-ref", "HEAD", "refs/heads/develop")
    checkout, snapshot = await host.ready()
    assert (snapshot.ref, snapshot.branch, snapshot.is_own_ref) == ("develop", "develop", True)
    assert agent(checkout, "git rev-parse --abbrev-ref origin/HEAD") == "origin/develop"
    assert not (await host.workspaces.sync("default", "main")).is_own_ref
    git(upstream.remote, "symbolic-ref", "HEAD", "refs/heads/main")
    assert (await host.workspaces.sync()).branch == "main"


async def test_a_head_that_names_no_branch_means_the_only_one_or_an_error_with_the_choices(
    host: Host, upstream: Upstream
) -> None:
    await host.workspaces.sync()
    git(upstream.remote, "branch", "--move", "main", "trunk")
    git(upstream.remote, "symbolic-ref", "HEAD", "refs/heads/main")
    newest = upstream.push({"x": "x"}, branch="trunk")
    snapshot = await host.workspaces.sync()
    assert (snapshot.branch, snapshot.commit) == ("trunk", newest)
    branch(upstream, "other", newest)
    with pytest.raises(WorkspaceError, match="on no branch that is there; branches: other, trunk") as caught:
        await host.workspaces.sync(allow_stale=True)
    assert not caught.value.retryable
    assert (await host.workspaces.sync("default", "trunk")).commit == newest


async def test_a_detached_head_is_its_commit(host: Host, upstream: Upstream) -> None:
    branch(upstream, "other", upstream.head())
    (upstream.remote / "HEAD").write_text(f"{upstream.head()}\n")
    snapshot = await host.workspaces.sync()
    assert (snapshot.commit, snapshot.branch, snapshot.is_own_ref) == (upstream.head(), None, True)


async def test_a_requested_ref_that_is_gone_at_the_remote_is_not_found(host: Host, upstream: Upstream) -> None:
    ref = "refs/merge-requests/7/head"
    git(upstream.remote, "update-ref", ref, upstream.head())
    assert (await host.workspaces.sync("default", ref)).commit == upstream.head()
    assert (await host.workspaces.sync("default", "merge-requests/7/head")).commit == upstream.head()
    upstream.go_away()
    assert (await host.workspaces.sync("default", ref, allow_stale=True)).stale
    upstream.come_back()
    git(upstream.remote, "update-ref", "-d", ref)
    for name in (ref, "merge-requests/7/head"):
        with pytest.raises(WorkspaceError, match="not found"):
            await host.workspaces.sync("default", name, allow_stale=True, fresh=True)


async def test_refs_that_are_folders_of_each_other_can_both_be_asked_for(host: Host, upstream: Upstream) -> None:
    git(upstream.remote, "update-ref", "refs/pull/7", upstream.head())
    await host.workspaces.sync("default", "refs/pull/7")
    git(upstream.remote, "update-ref", "-d", "refs/pull/7")
    git(upstream.remote, "update-ref", "refs/pull/7/head", upstream.head())
    assert (await host.workspaces.sync("default", "refs/pull/7/head")).commit == upstream.head()
    mirror = await host.workspaces._mirrors.of("default")
    async with mirror.locked():
        await mirror.forget_requested()
    assert git(host.mirror(), "for-each-ref", "refs/asked") == ""
    assert (await host.workspaces.sync("default", "refs/pull/7/head")).commit == upstream.head()


@pytest.mark.parametrize(
    "name", ["main", "heads/main", "refs/heads/main", "HEAD", "origin/main", "refs/remotes/origin/main"]
)
async def test_every_name_of_the_own_branch_is_the_own_ref(host: Host, upstream: Upstream, name: str) -> None:
    branch(upstream, "other", upstream.head())
    snapshot = await host.workspaces.sync("default", name)
    assert (snapshot.branch, snapshot.is_own_ref) == ("main", True)
    assert not (await host.workspaces.sync("default", "other")).is_own_ref
    assert not (await host.workspaces.sync("default", upstream.head())).is_own_ref


async def test_a_workspaces_own_ref_may_be_spelt_in_any_way(tmp_path: Path, upstream: Upstream) -> None:
    branch(upstream, "release", upstream.head())
    config = {"default": WorkspaceConfig(ref="refs/heads/release")}
    host = Host(tmp_path / "state", upstream.remote, workspaces=config)
    assert (await host.workspaces.sync("default", "release")).is_own_ref
    assert not (await host.workspaces.sync("default", "main")).is_own_ref
    assert (await host.workspaces.sync()).ref == "refs/heads/release"


async def test_names_mean_what_git_makes_of_them(host: Host, upstream: Upstream) -> None:
    """A tag before a branch of one name, 40 digits a commit, whatever else has that name; upper case and short too."""
    first = upstream.head()
    second = upstream.push({"x": "x"})
    branch(upstream, "both", first)
    git(upstream.remote, "update-ref", "refs/tags/both", second)
    branch(upstream, first, second)
    branch(upstream, "abcdef1", second)
    git(upstream.clone, "tag", "--annotate", "--message", "x", "v1", first)
    git(upstream.clone, "tag", "--annotate", "--message", "x", "of-a-tag", "v1")
    git(upstream.clone, "push", "--quiet", "origin", "v1", "of-a-tag")
    wanted = {
        "both": (second, None),
        "heads/both": (first, "both"),
        "tags/both": (second, None),
        first: (first, None),
        first.upper(): (first, None),
        first[:4]: (first, None),
        f"v1-1-g{second[:8]}": (second, None),
        f"heads/{first}": (second, first),
        "abcdef1": (second, "abcdef1"),
        "v1": (first, None),
        "of-a-tag": (first, None),
    }
    found = {name: await host.workspaces.sync("default", name) for name in wanted}
    assert {name: (snapshot.commit, snapshot.branch) for name, snapshot in found.items()} == wanted


@pytest.mark.parametrize("what", ["HEAD:README", "HEAD^{tree}"])
async def test_a_tag_of_no_commit_is_refused_and_the_mirror_is_not_doubted(
    host: Host, upstream: Upstream, what: str
) -> None:
    git(upstream.clone, "tag", "odd", what)
    git(upstream.clone, "push", "--quiet", "origin", "odd")
    with pytest.raises(WorkspaceError, match=r"'odd' names a (blob|tree) and no commit") as caught:
        await host.workspaces.sync("default", "odd")
    assert not caught.value.retryable
    mirror = await host.workspaces._mirrors.of("default")
    assert not mirror.fetch_state().doubted


async def test_a_pruned_commit_that_was_pinned_is_never_a_branch_of_its_name(host: Host, upstream: Upstream) -> None:
    branch(upstream, "1" * 40, upstream.head())
    with pytest.raises(WorkspaceError, match="not found"):
        await host.workspaces.sync("default", "1" * 40)


async def test_a_mirror_that_is_repacked_for_long_gives_its_last_good_state(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, fetch_timeout_seconds=0.2, clone_timeout_seconds=0.4)
    await host.workspaces.sync()
    lock = host.mirror().with_suffix(".fetch.lock")
    async with asyncio.timeout(120), hold_lock(lock, 1):
        snapshot = await host.workspaces.sync(allow_stale=True)
        assert snapshot.stale
        assert "in use" in (snapshot.stale_reason or "")
        with pytest.raises(MirrorBusy) as caught:
            await host.workspaces.sync()
        assert caught.value.retryable
    assert not (await host.workspaces.sync(fresh=True)).stale


async def test_nothing_of_a_large_listing_is_read_on_the_event_loop(host: Host, upstream: Upstream) -> None:
    """The loop answers while a repository of many refs is fetched, looked up, checked out and collected."""
    commit = upstream.head()
    lines = "".join(f"{commit} refs/tags/t{number:05}\n" for number in range(10_000))
    (upstream.remote / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{lines}")
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.005)
            longest = max(longest, time.thread_time() - before)

    ticking = asyncio.create_task(tick())
    checkout, snapshot = await host.ready(ref="t00001")
    agent(checkout, "echo x > x; git add x; git commit -qm x")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    ticking.cancel()
    assert report.files_changed == ["x"]
    # CPU of the loop's own thread between two looks: how busy the machine is does not matter
    assert longest < 0.05
