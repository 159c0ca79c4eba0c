"""The mirror: one fetch for many, and right again after whatever happened to it."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from repositories import CountedGit, Host, Upstream, agent, git, python

from agent.domain.checkout import Snapshot
from agent.domain.errors import WorkspaceError
from agent.git.git import GitError, GitTimedOut
from agent.git.refs import Refs, default_branch
from agent.mirrors.mirror import Mirror


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


async def the_mirror(host: Host) -> Mirror:
    return await host.workspaces._mirrors.of("default")


async def test_a_force_push_is_followed_and_the_old_commit_stays_readable(host: Host, upstream: Upstream) -> None:
    before = await host.workspaces.sync()
    git(upstream.clone, "commit", "--quiet", "--amend", "--message", "rewritten")
    git(upstream.clone, "push", "--quiet", "--force", "origin", "HEAD:main")
    assert (await host.workspaces.sync()).commit == upstream.head()
    assert git(host.mirror(), "cat-file", "-t", before.commit) == "commit"


async def test_a_renamed_default_branch_is_followed(host: Host, upstream: Upstream) -> None:
    assert (await host.workspaces.sync()).ref == "main"
    git(upstream.remote, "branch", "--move", "main", "trunk")
    git(upstream.remote, "symbolic-ref", "HEAD", "refs/heads/trunk")
    newest = upstream.push({"x": "x"}, branch="trunk")
    snapshot = await host.workspaces.sync()
    assert (snapshot.ref, snapshot.branch, snapshot.commit) == ("trunk", "trunk", newest)
    checkout, _ = await host.ready()
    assert agent(checkout, "git status --porcelain --branch; git branch -r").split("\n")[0] == "## trunk...origin/trunk"


async def test_a_checkout_whose_branch_is_gone_from_the_remote_gives_the_remotes_own(
    tmp_path: Path, upstream: Upstream
) -> None:
    infra = tmp_path / "infra"
    git(tmp_path, "clone", "--quiet", str(upstream.remote), str(infra))
    git(upstream.remote, "branch", "--move", "main", "trunk")
    git(upstream.remote, "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert (await Host(tmp_path / "state", infra).workspaces.sync()).ref == "trunk"


async def test_a_branch_that_becomes_a_folder_of_branches_is_followed(host: Host, upstream: Upstream) -> None:
    upstream.push({"x": "1"}, branch="topic")
    await host.workspaces.sync("default", "topic")
    git(upstream.remote, "update-ref", "-d", "refs/heads/topic")
    newest = upstream.push({"x": "2"}, branch="topic/one")
    assert (await host.workspaces.sync("default", "topic/one")).commit == newest
    with pytest.raises(WorkspaceError, match="not found"):
        await host.workspaces.sync("default", "topic")


async def test_a_moved_tag_is_followed(host: Host, upstream: Upstream) -> None:
    git(upstream.clone, "tag", "latest")
    git(upstream.clone, "push", "--quiet", "origin", "latest")
    first = await host.workspaces.sync("default", "latest")
    upstream.push({"x": "x"})
    git(upstream.clone, "tag", "--force", "latest")
    git(upstream.clone, "push", "--quiet", "--force", "origin", "latest")
    assert (await host.workspaces.sync("default", "latest")).commit == upstream.head() != first.commit


@pytest.mark.parametrize(
    "lock",
    ["packed-refs.lock", "refs/heads/main.lock", "HEAD.lock", "shallow.lock", "config.lock", "refs/agent/HEAD.lock"],
)
async def test_a_lock_that_a_killed_process_left_is_removed(host: Host, upstream: Upstream, lock: str) -> None:
    await host.workspaces.sync()
    (host.mirror() / lock).parent.mkdir(parents=True, exist_ok=True)
    (host.mirror() / lock).touch()
    upstream.push({"x": "x"})
    assert (await host.workspaces.sync()).commit == upstream.head()


async def _lose_a_pack(mirror: Path) -> None:
    for path in (mirror / "objects" / "pack").glob("*.pack"):
        path.unlink()


async def _corrupt_objects(mirror: Path) -> None:
    for path in (mirror / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"\0" * path.stat().st_size)


async def _lose_head(mirror: Path) -> None:
    (mirror / "HEAD").unlink()


async def _lose_all_objects(mirror: Path) -> None:
    for path in (mirror / "objects").rglob("*"):
        if path.is_file():
            path.unlink()


async def _garble_config(mirror: Path) -> None:
    (mirror / "config").write_text("[core\nnonsense")


async def _garble_refs(mirror: Path) -> None:
    (mirror / "refs" / "heads" / "main").write_text("nonsense\n")


async def as_the_flow_does(host: Host) -> tuple[Path, Snapshot]:
    """Make ready, and try again what can be tried again."""
    for _ in range(2):
        try:
            return await host.ready()
        except WorkspaceError as error:
            if not error.retryable:
                raise
    return await host.ready()


BREAKAGES = [_lose_a_pack, _corrupt_objects, _lose_head, _lose_all_objects, _garble_config, _garble_refs]


@pytest.mark.parametrize("break_it", BREAKAGES)
async def test_a_corrupt_mirror_is_built_anew(host: Host, upstream: Upstream, break_it: object) -> None:
    assert callable(break_it)
    await host.workspaces.sync()
    await break_it(host.mirror())
    upstream.push({"new.txt": "new\n"})
    checkout, _ = await as_the_flow_does(host)
    assert agent(checkout, "git log -1 --format=%H; git fsck") == upstream.head()
    git(host.mirror(), "fsck", "--strict")


async def test_kept_work_survives_the_rebuilding_of_a_mirror(host: Host) -> None:
    checkout, snapshot = await host.ready("run-1")
    agent(checkout, "echo kept > kept.txt; git add .; git commit -qm kept")
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    (host.mirror() / "HEAD").unlink()
    await host.workspaces.sync()
    restored = await host.restored("run-1")
    assert (restored / "kept.txt").read_text() == "kept\n"


async def test_a_mirror_killed_while_it_is_first_filled_is_filled_by_the_next(
    tmp_path: Path, upstream: Upstream
) -> None:
    host = Host(tmp_path / "state", upstream.remote)
    mirror = await the_mirror(host)
    (mirror.path.with_name(f"{mirror.path.name}.new") / "objects" / "pack").mkdir(parents=True)
    mirror.path.mkdir()
    assert (await host.workspaces.sync()).commit == upstream.head()


@pytest.mark.parametrize("after_seconds", [0.0, 0.01, 0.02, 0.04, 0.08])
async def test_a_process_killed_while_it_fetches_holds_nobody_up(
    host: Host, upstream: Upstream, after_seconds: float
) -> None:
    await host.workspaces.sync()
    upstream.push({f"file-{number}.txt": os.urandom(2000).hex() for number in range(50)})
    process = python(Path(__file__).with_name("fetch_once.py"), host.state, upstream.remote)
    stamp = (await the_mirror(host)).path.with_suffix(".fetch.lock")
    await _until_locked(stamp, process)
    await asyncio.sleep(after_seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert (await host.workspaces.sync()).commit == upstream.head()
    git(host.mirror(), "fsck", "--strict")


async def _until_locked(lock: Path, process: subprocess.Popen[str]) -> None:
    """Until that process has opened the lock, or has ended."""
    deadline = time.monotonic() + 20
    while process.poll() is None and not _holds(process.pid, lock):
        assert time.monotonic() < deadline, "the fetch begins"
        await asyncio.sleep(0.001)


def _holds(pid: int, lock: Path) -> bool:
    try:
        return any(link.readlink() == lock for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


async def test_a_shallow_origin_serves_runs_that_commit_and_push(tmp_path: Path, upstream: Upstream) -> None:
    upstream.push({"x": "1"}, "second")
    upstream.push({"x": "2"}, "third")
    shallow = tmp_path / "shallow.git"
    git(tmp_path, "clone", "--quiet", "--bare", "--depth", "2", f"file://{upstream.remote}", str(shallow))
    host = Host(tmp_path / "state", shallow)
    checkout, snapshot = await host.ready()
    assert agent(checkout, "git log --format=%s; git fsck").splitlines() == ["third", "second"]
    agent(checkout, "echo y > y; git add y; git commit -qm pushed; git push -q; echo z > z")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert [(commit.subject, commit.pushed) for commit in report.commits] == [("pushed", True)]
    assert report.kept_ref == "refs/agent-runs/run-1"
    assert (await host.restored("run-1") / "z").exists()


async def test_a_silent_remote_is_given_up_soon(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    host = Host(tmp_path / "state", f"git://127.0.0.1:{port}/x.git", fetch_timeout_seconds=0.3)
    with pytest.raises(GitTimedOut) as caught:
        await host.workspaces.sync()
    assert caught.value.retryable
    silent.close()


async def test_runs_that_wait_for_the_same_fetch_share_its_failure(tmp_path: Path, upstream: Upstream) -> None:
    counted = CountedGit(tmp_path / "counted")
    host = Host(tmp_path / "state", upstream.remote, counted.environ, fetch_debounce_seconds=5)
    mirror = await the_mirror(host)
    upstream.go_away()
    moment = time.time()
    failures = await asyncio.gather(*(mirror.fetch(moment) for _ in range(16)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {GitError}
    assert counted.count("fetch") == 1


async def test_a_clock_that_was_set_back_does_not_keep_an_old_state(tmp_path: Path, upstream: Upstream) -> None:
    host = Host(tmp_path / "state", upstream.remote, fetch_debounce_seconds=600)
    await host.workspaces.sync()
    mirror = await the_mirror(host)
    later = mirror.fetch_state().model_copy(update={"good_at": time.time() + 3600})
    mirror.path.with_suffix(".json").write_text(later.model_dump_json())
    newest = upstream.push({"x": "x"})
    assert (await host.workspaces.sync()).commit == newest


async def test_workspaces_with_one_remote_share_a_mirror_whose_name_gives_no_credential_away(tmp_path: Path) -> None:
    hosts = [Host(tmp_path / "state", f"https://user:{secret}@example.com/team/app.git") for secret in ("a", "a", "b")]
    paths = [(await the_mirror(host)).path.name for host in hosts]
    assert paths[0] == paths[1] != paths[2]
    assert all(path.startswith("app-") for path in paths)


def test_a_full_disk_is_named_and_the_next_run_heals(tmp_path: Path, upstream: Upstream) -> None:
    private = ("unshare", "--mount", "--map-root-user", "--propagation", "private")
    probe = subprocess.run([*private, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no file system of our own can be mounted here")
    (tmp_path / "small").mkdir()
    script = Path(__file__).with_name("full_disk.py")
    process = python(script, tmp_path / "small", upstream.remote, within=private)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "free some space under STATE_DIR" in said


def test_the_default_branch_is_what_the_remotes_head_names() -> None:
    one, two = "1" * 40, "2" * 40
    refs = Refs(f"{two} refs/agent/HEAD\n{one} refs/heads/a\n{two} refs/heads/main\n{two} refs/heads/z\n".encode())
    assert default_branch(refs, "refs/heads/z") == "z"
    assert default_branch(refs, "refs/heads/gone") is None
    assert default_branch(refs, None) is None, "a detached HEAD, and two branches that have its commit"
    detached = Refs(f"{one} refs/agent/HEAD\n{one} refs/heads/a\n{two} refs/heads/main\n".encode())
    assert default_branch(detached, None) == "a"
    assert default_branch(Refs(f"{one} refs/heads/dev\n".encode()), None) == "dev"
    assert default_branch(Refs(), None) is None


def test_refs_are_written_as_a_clone_has_them() -> None:
    refs = Refs.load(
        b"main\n1 refs/agent/HEAD\n1 refs/heads/main\n2 refs/heads/x/y\n3 refs/tags/v1\n".replace(
            b"\n1", b"\n" + b"1" * 40
        )
    )
    assert refs.default == "main"
    assert refs.branches(5) == ["main", "x/y"]
    assert [line.split(b" ")[1] for line in refs.packed().splitlines()[1:]] == [
        b"refs/remotes/origin/main",
        b"refs/remotes/origin/x/y",
        b"refs/tags/v1",
    ]
