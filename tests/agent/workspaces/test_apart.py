"""Runs do not read each other, and what they leave acts on nobody: not on the next run, not on the operator."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from repositories import Host, Upstream, agent, git

from agent.domain.checkout import Identity
from agent.domain.errors import WorkspaceError
from agent.settings import WorkspaceConfig
from agent.workspaces.checkout import CheckoutBuilder
from agent.workspaces.kept_work import renamed_in


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


async def test_what_a_run_can_read_has_nothing_of_another_run(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready("run-1")
    agent(checkout, "echo committed > a; git add a; git commit -qm a; echo secret > b; git stash -qu; echo dirty > c")
    names = agent(checkout, "git rev-list --objects --all --not --remotes").split("\n")
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    checkout, snapshot = await host.ready("run-2", number=1)
    readable = [path for place in host.workspaces.read_paths(snapshot) for path in place.rglob("*") if path.is_file()]
    assert host.kept() not in {parent for path in readable for parent in path.parents}
    objects = agent(checkout, "git cat-file --batch-check='%(objectname)' --batch-all-objects").splitlines()
    assert not set(objects) & {name.split(" ")[0] for name in names}
    assert len(objects) == len(git(upstream.remote, "rev-list", "--objects", "--all").splitlines())


async def test_kept_work_of_an_earlier_version_leaves_the_mirror(host: Host) -> None:
    checkout, _ = await host.ready("run-1")
    agent(checkout, "echo kept > kept.txt; git add .; git commit -qm kept")
    git(checkout, "push", "--quiet", str(host.mirror()), "HEAD:refs/agent-runs/run-0")
    assert [kept.run_id for kept in await host.workspaces.kept()] == ["run-0"]
    assert git(host.mirror(), "for-each-ref", "refs/agent-runs") == ""
    assert git(host.kept(), "show", "refs/agent-runs/run-0:kept.txt") == "kept"
    git(host.kept(), "fsck", "--strict")


async def test_kept_work_needs_only_what_the_remote_had_and_outlives_its_branch(host: Host, upstream: Upstream) -> None:
    upstream.push({"topic.txt": "topic\n"}, branch="topic")
    checkout, snapshot = await host.ready("run-1", ref="topic")
    agent(checkout, "echo x > x; git add x; git commit -qm x")
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    await host.workspaces.vacate(host.slot())
    git(upstream.remote, "update-ref", "-d", "refs/heads/topic")
    await host.workspaces.sync(fresh=True)
    for path in host.mirror().rglob("objects/**/*"):
        os.utime(path, (0, 0))
    await host.workspaces.drop_older_than(1)
    assert (await host.restored("run-1") / "topic.txt").read_text() == "topic\n"


BOMB = (
    "b=$(git hash-object -w README); t=$(printf '100644 blob %s\\tf\\n' $b | git mktree); "
    "for level in 1 2 3 4 5 6 7 8 9 10; do "
    "t=$(for n in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\\t%s\\n' $t $n; done | git mktree); done; "
    "c=$(git commit-tree $t -p HEAD -m bomb); "
)


@pytest.mark.parametrize("place", ["git reset -q --soft $c", "git update-ref refs/heads/side $c"])
async def test_a_tree_of_trees_is_bounded(host: Host, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.workspaces.leftover_work.TREE_BYTES", 1_000_000)
    monkeypatch.setattr("agent.workspaces.changes.DIFF_SECONDS", 0.5)
    checkout, snapshot = await host.ready("run-1")
    agent(checkout, f"{BOMB}{place}; echo more >> README")
    async with asyncio.timeout(60):
        report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    if "reset" in place:
        assert "more files than can be read" in report.notes[0]
        assert (host.state / "set-aside" / "run-1" / "README").read_text() == "hello\nmore\n"
    else:
        assert report.kept_ref
    checkout, _ = await host.ready("run-2")
    assert (checkout / "README").read_text() == "hello\n"


async def test_a_strangers_tree_of_trees_is_not_checked_out(
    host: Host, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.workspaces.checkout.MAX_TREE_BYTES", 1_000_000)
    identity = "git config user.name x; git config user.email x@example.com; "
    agent(upstream.clone, f"{identity}{BOMB}git push -q origin $c:refs/heads/bomb")
    with pytest.raises(WorkspaceError, match="more files than can be checked out"):
        await host.ready(ref="bomb")
    mirror = await host.workspaces._mirrors.of("default")
    assert not mirror.fetch_state().doubted


POISON = (
    "mkdir -p node_modules/.bin node_modules/.claude/agents node_modules/bare/objects node_modules/bare/refs; "
    "cd node_modules; echo evil > CLAUDE.md; echo evil > .claude/agents/evil.md; echo evil > .mcp.json; "
    "ln -s /etc etc; ln -s ../../.. .bin/up; echo 'ref: refs/heads/x' > bare/HEAD; "
    "mkdir good; echo cache > good/i.js; ln -s ../good/i.js .bin/good"
)


async def test_a_cache_carries_no_instructions_links_or_repositories(tmp_path: Path, upstream: Upstream) -> None:
    config = {"default": WorkspaceConfig(keep=["node_modules"])}
    host = Host(tmp_path / "state", upstream.remote, workspaces=config)
    checkout, snapshot = await host.ready("run-1")
    agent(checkout, POISON)
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    checkout, _ = await host.ready("run-2")
    left = {str(path.relative_to(checkout)) for path in checkout.rglob("node_modules/**/*") if not path.is_dir()}
    assert left == {"node_modules/good/i.js", "node_modules/.bin/good"}


@pytest.mark.parametrize(("first", "second"), [(None, "side"), ("side", None), ("side", "other")])
async def test_a_cache_does_not_go_from_one_trust_to_another(
    tmp_path: Path, upstream: Upstream, first: str | None, second: str | None
) -> None:
    for name in ("side", "other"):
        git(upstream.remote, "update-ref", f"refs/heads/{name}", upstream.head())
    config = {"default": WorkspaceConfig(keep=["node_modules"])}
    host = Host(tmp_path / "state", upstream.remote, workspaces=config)
    checkout, snapshot = await host.ready("run-1", ref=first)
    agent(checkout, "mkdir node_modules; echo x > node_modules/x.js")
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    checkout, snapshot = await host.ready("run-2", ref=first)
    assert (checkout / "node_modules/x.js").exists()
    await host.workspaces.collect(host.slot(), snapshot, "run-2")
    checkout, _ = await host.ready("run-3", ref=second)
    assert not (checkout / "node_modules").exists()


BARE = (
    "mkdir -p docs/refs docs/objects; echo x > docs/refs/x; echo x > docs/objects/x; ln -s /etc out; ln -s README in; "
    "echo 'ref: refs/heads/main' > docs/HEAD; git config --file docs/config core.bare false; "
    "git config --file docs/config core.worktree .; git config --file docs/config core.fsmonitor 'touch {ran}'; "
)


@pytest.mark.parametrize("how", ["", "git add .; git commit -qm bare"])
async def test_a_repository_and_links_in_kept_work_are_inert(host: Host, tmp_path: Path, how: str) -> None:
    ran = tmp_path / "ran"
    checkout, snapshot = await host.ready("run-1")
    agent(checkout, BARE.format(ran=ran) + (how or "true"))
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    restored = await host.restored("run-1")
    agent(restored / "docs", "git status; git diff; git checkout -q . || true; git status")
    assert not ran.exists()
    assert not (restored / "out").is_symlink()
    assert (restored / "in").is_symlink()
    assert renamed_in(restored) == ["docs/HEAD", "out"]
    assert (restored / "docs/HEAD.inert").exists()


async def test_what_was_set_aside_is_inert_and_its_commits_are_there(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, kept_work_max_bytes=100_000)
    ran = tmp_path / "ran"
    checkout, snapshot = await host.ready("run-1")
    (checkout / "large.bin").write_bytes(os.urandom(200_000))
    agent(checkout, f"git add .; git commit -qm large; git config core.fsmonitor 'touch {ran}'; git init -q nested")
    git(checkout / "nested", "config", "core.fsmonitor", f"touch {ran}")
    agent(checkout, BARE.format(ran=ran))
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    aside = host.state / "set-aside" / "run-1"
    for place in (aside, aside / "nested", aside / "docs"):
        agent(place, "git status || true")
    assert not ran.exists()
    assert agent(aside, "git log -1 --format=%s") == "large"


async def test_a_post_checkout_command_is_not_run_on_a_strangers_ref(tmp_path: Path, upstream: Upstream) -> None:
    upstream.push({"install.sh": f"touch {tmp_path}/ran\n"}, branch="side")
    config = {"default": WorkspaceConfig(post_checkout=["sh", "-c", "test ! -e install.sh || sh install.sh"])}
    host = Host(tmp_path / "state", upstream.remote, workspaces=config)
    checkout, _ = await host.ready(ref="side")
    assert (checkout / "install.sh").exists()
    assert not (tmp_path / "ran").exists()
    trusting = Host(tmp_path / "trusting", upstream.remote, workspaces=config, agent_repo_code="on")
    await trusting.ready(ref="side")
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("what", ["_clear_the_way", "_give_git_dir"])
async def test_a_cancelled_preparation_writes_nothing_into_the_next_runs_checkout(
    host: Host, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A step that has begun on a slow disk is waited for before anybody gets the slot."""
    snapshot = await host.workspaces.sync()
    begun, go_on, order = asyncio.Event(), threading.Event(), []
    loop, step = asyncio.get_running_loop(), getattr(CheckoutBuilder, what)

    def slow(self: CheckoutBuilder, *arguments: object) -> None:
        if self.identity.run_id == "run-1":
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(30)
        step(self, *arguments)
        order.append(self.identity.run_id)

    monkeypatch.setattr(CheckoutBuilder, what, slow)
    first = asyncio.create_task(host.workspaces.checkout(host.slot(), snapshot, Identity(run_id="run-1")))
    await begun.wait()
    first.cancel()
    await asyncio.sleep(0)
    assert not first.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert order == ["run-1"]
    checkout = await host.workspaces.checkout(host.slot(), snapshot, Identity(run_id="run-2"))
    assert "run-2" in (checkout / ".git/hooks/prepare-commit-msg").read_text()
