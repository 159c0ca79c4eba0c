"""A slot's checkout: ready whatever the last run, or a kill, left there."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from repositories import Host, Upstream, agent, files_in, git, python

from agent.domain.checkout import Identity
from agent.domain.errors import WorkspaceError

STEPS = ["taken back", "cleared", "reset", "cleaned", "given", "examined", "kept", "collected"]


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream", {"src/deep/c.txt": "c\n"})


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


async def heals(host: Host, upstream: Upstream) -> Path:
    """The next run has the newest commit, and nothing else."""
    upstream.push({"newer.txt": "newer\n"})
    checkout, snapshot = await host.ready("run-next")
    assert snapshot.commit == upstream.head()
    assert files_in(checkout) == files_in(upstream.clone)
    assert agent(checkout, "git status --porcelain --ignored --branch") == "## main...origin/main"
    assert not list(checkout.glob("*/**/.git"))
    assert agent(checkout, "git fsck --no-dangling 2>&1; git stash list; git worktree list | wc -l") == "1"
    return checkout


STATES = {
    "a stale index.lock": "touch .git/index.lock .git/HEAD.lock .git/config.lock .git/refs/heads/main.lock",
    "a rebase in progress": "git checkout -qb side; echo 1 > README; git commit -qam 1; git checkout -q main; "
    "echo 2 > README; git commit -qam 2; git rebase side || true; test -d .git/rebase-merge",
    "a merge in progress": "git checkout -qb side; echo 1 > README; git commit -qam 1; git checkout -q main; "
    "echo 2 > README; git commit -qam 2; git merge side || true; test -f .git/MERGE_HEAD",
    "a cherry-pick in progress": "git checkout -qb side; echo 1 > README; git commit -qam 1; git checkout -q main; "
    "echo 2 > README; git commit -qam 2; git cherry-pick side || true; test -f .git/CHERRY_PICK_HEAD",
    "a bisect in progress": "git bisect start; git bisect bad",
    "a detached HEAD": "git checkout -q --detach; echo x > x; git add x; git commit -qm x",
    "a dirty tree": "echo x >> README; rm src/a.txt; echo y > y; git add y; echo z > z.ignored",
    "a vanished tree": "rm -rf * .gitignore",
    "a vanished git directory": "rm -rf .git",
    "no HEAD": "rm .git/HEAD",
    "a corrupt index": "echo nonsense > .git/index",
    "corrupt objects": "echo x > x; git add x; git commit -qm x; chmod -R u+w .git/objects; "
    "find .git/objects -type f | grep -v info/ | while read f; do echo nonsense > $f; done",
    "a branch renamed": "git branch -M main other",
    "an orphan branch": "git checkout -q --orphan fresh; git rm -rqf .; echo x > x; git add x; git commit -qm x",
    "a linked worktree": "git worktree add -q wt; cd wt; echo x > x; git add x; git commit -qm x",
    "a stash": "echo x >> README; git stash -q",
    "a sparse checkout": "git sparse-checkout set --no-cone nothing || git sparse-checkout set nothing",
    "a split index and an untracked cache": "git update-index --split-index --untracked-cache",
    "files that git is told to overlook": "git update-index --assume-unchanged README; "
    "git update-index --skip-worktree src/a.txt; echo x > README; echo x > src/a.txt",
    "replaced objects": "echo x > README; git commit -qam x; git replace HEAD~1 HEAD",
    "its own excludes and attributes": "echo '*' > .git/info/exclude; echo '* -text' > .git/info/attributes; >x",
    "its own hooks": "for h in post-checkout pre-commit reference-transaction; do "
    "printf '#!/bin/sh\\nexit 1\\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done",
    "closed directories": "mkdir -p closed/er; echo x > closed/er/x; chmod 0 closed/er src",
    "a nested repository": "git init -q nested; cd nested; echo x > x; git add x",
    "a repository in a directory of the tree": "git init -q src; git -C src config core.fsmonitor 'touch /tmp/x'",
    "a directory where a file was": "rm README; mkdir README; echo x > README/x",
    "a link where a directory was": "mv src elsewhere; ln -s elsewhere src",
    "a pipe and a socket": "mkfifo pipe src/.gitignore src/.gitattributes; rm src/a.txt",
    "a shallow mark": "git rev-parse HEAD > .git/shallow",
    "a config of its own": "git config core.bare true; git config core.worktree /; git config core.sparseCheckout true",
    "a tag and a branch that the remote has not": "git tag mine; git branch mine",
    "a gc and a repack of everything": "echo x > x; git add x; git commit -qm x; git repack -qad; git gc -q",
}


@pytest.mark.parametrize("state", STATES)
async def test_the_next_run_heals(host: Host, upstream: Upstream, state: str) -> None:
    checkout, snapshot = await host.ready()
    agent(checkout, STATES[state])
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    await heals(host, upstream)


@pytest.mark.parametrize("place", ["", "checkout", "index", "git", "given.json", "refs"])
async def test_a_vanished_part_of_a_slot_is_made_again(host: Host, upstream: Upstream, place: str) -> None:
    await host.ready()
    path = host.slot() / place
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    await heals(host, upstream)


@pytest.mark.parametrize("place", ["index", "git/HEAD", "given.json", "refs", "baseline.json"])
async def test_a_garbled_part_of_a_slot_is_made_again(host: Host, upstream: Upstream, place: str) -> None:
    await host.ready()
    (host.slot() / place).write_bytes(b"nonsense")
    await heals(host, upstream)


async def test_work_in_a_slot_that_forgot_whose_it_was_is_set_aside(host: Host, upstream: Upstream) -> None:
    checkout, _ = await host.ready()
    (checkout / "work.txt").write_text("work\n")
    (host.slot() / "given.json").write_text("nonsense")
    await heals(host, upstream)
    (aside,) = (host.state / "set-aside").iterdir()
    assert (aside / "work.txt").read_text() == "work\n"


async def test_locks_of_a_killed_preparation_are_removed(host: Host, upstream: Upstream) -> None:
    await host.ready()
    for name in ("index.lock", "git/HEAD.lock", "git/index.lock"):
        (host.slot() / name).touch()
    await heals(host, upstream)


@pytest.mark.parametrize("step", STEPS)
async def test_a_service_killed_at_any_step_loses_no_work_and_the_next_run_heals(
    host: Host, upstream: Upstream, step: str
) -> None:
    checkout, _ = await host.ready("run-1")
    agent(checkout, "echo kept > kept.txt; git add .; git commit -qm kept; echo dirty > dirty.txt")
    process = python(Path(__file__).with_name("killed_at.py"), host.state, upstream.remote, step)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    await heals(host, upstream)
    restored = await host.restored("run-1")
    assert (restored / "kept.txt").read_text() == "kept\n"
    assert (restored / "dirty.txt").read_text() == "dirty\n"


async def test_only_what_changed_is_written(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    before = {path: path.stat().st_ctime_ns for path in checkout.glob("**/*.txt")}
    upstream.push({"src/a.txt": "changed\n"})
    checkout, _ = await host.ready("run-2")
    changed = {path.name for path, changed_at in before.items() if path.stat().st_ctime_ns != changed_at}
    assert changed == {"a.txt"}


async def test_a_file_whose_times_and_index_entry_were_forged_is_written_again(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    target = checkout / "src/a.txt"
    before = target.stat()
    target.write_text("b\n")
    agent(checkout, "git add src/a.txt; git update-index --assume-unchanged src/a.txt")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert target.stat().st_size == before.st_size
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.files_changed == ["src/a.txt"]
    checkout, _ = await host.ready("run-2")
    assert target.read_text() == "a\n"


async def test_a_checkout_that_was_collected_needs_no_second_collecting(host: Host) -> None:
    checkout, snapshot = await host.ready("run-1")
    (checkout / "x.txt").write_text("x\n")
    first = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    again = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert first == again
    await host.ready("run-2")
    assert [kept.run_id for kept in await host.workspaces.kept()] == ["run-1"]


async def test_lfs_pointers_stay_pointers(host: Host, upstream: Upstream) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n"
    upstream.push({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "large.bin": pointer})
    checkout, snapshot = await host.ready()
    assert (checkout / "large.bin").read_text() == pointer
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.files_changed == []


async def test_files_with_converted_line_ends_are_clean(host: Host, upstream: Upstream) -> None:
    upstream.push({".gitattributes": "*.bat text eol=crlf\n", "run.bat": "one\ntwo\n"})
    checkout, snapshot = await host.ready()
    assert (checkout / "run.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert (await host.workspaces.collect(host.slot(), snapshot, "run-1")).files_changed == []


async def test_names_that_are_not_ascii_or_not_utf8_are_kept_and_cleaned(host: Host, upstream: Upstream) -> None:
    checkout, snapshot = await host.ready()
    (checkout / "größe.txt").write_text("x")
    (checkout / os.fsdecode(b"\xff\xfe.txt")).write_text("y")
    (checkout / "with\nnewline.txt").write_text("z")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert len(report.files_changed) == 3
    assert len(files_in(await host.restored("run-1"))) == len(files_in(checkout))
    await heals(host, upstream)


async def test_a_submodule_is_an_empty_directory_again_and_its_work_is_kept(
    host: Host, upstream: Upstream, tmp_path: Path
) -> None:
    library = Upstream(tmp_path / "library")
    git(upstream.clone, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(library.remote), "lib")
    upstream.push({"uses-lib.txt": "x\n"})
    update = "git -c protocol.file.allow=always submodule --quiet update --init"
    checkout, snapshot = await host.ready("run-1")
    assert list((checkout / "lib").iterdir()) == []
    agent(checkout, update)
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert (report.files_changed, report.kept_ref) == ([], None)
    checkout, snapshot = await host.ready("run-2")
    assert list((checkout / "lib").iterdir()) == []
    agent(checkout, f"{update}; echo changed > lib/README")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-2")
    assert "lib is a repository of its own: its files are kept, its history is not" in report.notes
    assert (await host.restored("run-2") / "lib" / "README").read_text() == "changed\n"
    checkout, _ = await host.ready("run-3")
    assert list((checkout / "lib").iterdir()) == []


async def test_a_snapshot_of_a_workspace_that_is_gone_is_refused(host: Host) -> None:
    snapshot = (await host.workspaces.sync()).model_copy(update={"workspace": "gone"})
    with pytest.raises(WorkspaceError, match="'gone' not found"):
        await host.workspaces.checkout(host.slot(), snapshot, Identity())
