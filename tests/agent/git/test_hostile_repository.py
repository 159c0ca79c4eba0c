"""A repository, an agent or an operator's checkout that means harm runs nothing of ours and escapes nowhere."""

import os
from pathlib import Path

import pytest
from repositories import Host, Upstream, agent, files_in, git

from agent.domain.errors import WorkspaceError
from agent.git.untrusted_refs import read_untrusted_refs
from agent.settings import WorkspaceConfig


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream) -> Host:
    return Host(tmp_path / "state", upstream.remote)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that only code of the repository would make."""
    return tmp_path / "ran"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that is nobody's business."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "precious.txt").write_text("precious\n")
    return place


async def a_whole_run(host: Host, script: str = "true", run_id: str = "run-1") -> Path:
    """Make ready, let the agent do that, collect, and make ready again."""
    checkout, snapshot = await host.ready(run_id)
    agent(checkout, script)
    await host.workspaces.collect(host.slot(), snapshot, run_id)
    checkout, _ = await host.ready("run-next")
    return checkout


# What the repository itself brings along


async def test_filters_and_diff_drivers_that_attributes_name_do_not_run(
    host: Host, upstream: Upstream, ran: Path
) -> None:
    attributes = "* filter=evil diff=evil merge=evil textconv=evil\n"
    upstream.push({".gitattributes": attributes, "x.txt": "x\n", ".lfsconfig": f"[lfs]\n\turl = !touch {ran}\n"})
    await a_whole_run(host, "echo y > x.txt")
    assert not ran.exists()


async def test_a_submodule_with_a_command_for_an_url_is_left_alone(host: Host, upstream: Upstream, ran: Path) -> None:
    modules = f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% {ran}\n\tupdate = !touch {ran}\n'
    (upstream.clone / ".gitmodules").write_text(modules)
    git(upstream.clone, "update-index", "--add", "--cacheinfo", f"160000,{upstream.head()},x")
    git(upstream.clone, "add", ".gitmodules")
    git(upstream.clone, "commit", "--quiet", "--message", "submodule")
    git(upstream.clone, "push", "--quiet", "origin", "main")
    checkout = await a_whole_run(host, "echo y > README")
    assert not ran.exists()
    assert list((checkout / "x").iterdir()) == []


async def test_a_link_out_of_the_tree_is_a_link_and_nothing_behind_it_changes(
    host: Host, upstream: Upstream, outside: Path
) -> None:
    (upstream.clone / "link").symlink_to(outside)
    upstream.push({"x": "x"})
    checkout = await a_whole_run(host, "echo changed > link/agent.txt; rm link; mkdir link; echo x > link/x")
    assert (checkout / "link").is_symlink()
    assert (outside / "precious.txt").read_text() == "precious\n"
    kept = git(host.kept(), "ls-tree", "-r", "--name-only", "refs/agent-runs/run-1")
    assert "precious.txt" not in kept


@pytest.mark.parametrize("name", ["--upload-pack=x", "-rf", "--exec=touch ran", "-c core.fsmonitor=x", ":(top)x", "*"])
async def test_a_file_named_like_an_option_is_a_file(host: Host, upstream: Upstream, name: str) -> None:
    (upstream.clone / name).write_text("x\n")
    upstream.push({})
    checkout, snapshot = await host.ready()
    (checkout / name).write_text("changed\n")
    (checkout / f"{name}.new").write_text("new\n")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.files_changed == sorted([name, f"{name}.new"])
    checkout, _ = await host.ready("run-2")
    assert files_in(checkout) == files_in(upstream.clone)


@pytest.mark.parametrize("branch", ["two\u2028lines", "-x", "--upload-pack=x", 'a"b', "a$(touch_ran)b", "é", "x'y"])
async def test_a_branch_named_like_an_option_is_a_branch(host: Host, upstream: Upstream, branch: str) -> None:
    commit = upstream.push({"x": "x"}, branch=branch)
    checkout, _ = await host.ready()
    assert agent(checkout, "git for-each-ref --format='%(refname)' refs/remotes").count("refs/remotes/origin/") == 3
    if branch.startswith("-"):
        with pytest.raises(WorkspaceError, match="refused"):
            await host.workspaces.sync("default", branch)
        branch = f"refs/heads/{branch}"
    checkout, snapshot = await host.ready("run-2", ref=branch)
    assert (snapshot.commit, agent(checkout, "git rev-parse HEAD")) == (commit, commit)


async def test_a_tree_with_a_git_directory_in_it_is_refused(host: Host, upstream: Upstream, ran: Path) -> None:
    blob = git(upstream.clone, "hash-object", "-w", "README")
    evil = Path(upstream.clone / "tree")
    evil.write_text(f"100644 blob {blob}\tconfig\n")
    inner = agent(upstream.clone, "git mktree < tree")
    evil.write_text(f"040000 tree {inner}\t.git\n")
    tree = agent(upstream.clone, "git mktree < tree")
    commit = git(upstream.clone, "commit-tree", tree, "-m", "evil")
    git(upstream.clone, "push", "--quiet", "--force", "origin", f"{commit}:refs/heads/main")
    with pytest.raises(WorkspaceError, match="invalid path"):
        await host.ready()


# What an agent may do to its own checkout


HOSTILE_CONFIG = {
    "core.fsmonitor": "{run}",
    "core.hooksPath": "{hooks}",
    "core.sshCommand": "{run}",
    "core.editor": "{run}",
    "core.pager": "{run}",
    "core.gitProxy": "{run}",
    "core.alternateRefsCommand": "{run}",
    "diff.external": "{run}",
    "diff.evil.textconv": "{run}",
    "diff.evil.command": "{run}",
    "filter.evil.clean": "{run}",
    "filter.evil.smudge": "{run}",
    "filter.evil.process": "{run}",
    "filter.evil.required": "true",
    "merge.evil.driver": "{run}",
    "gpg.program": "{run}",
    "commit.gpgSign": "true",
    "uploadpack.packObjectsHook": "{run}",
    "remote.origin.uploadpack": "{run}",
    "remote.origin.receivepack": "{run}",
    "credential.helper": "!{run}",
    "alias.checkout": "!{run}",
    "alias.ls-files": "!{run}",
    "include.path": "{hooks}/included",
    "submodule.x.update": "!{run}",
    "trailer.x.command": "{run}",
    "protocol.ext.allow": "always",
    "extensions.worktreeConfig": "true",
    "core.attributesFile": "{hooks}/attributes",
}


async def test_no_config_of_an_agent_acts_when_its_work_is_collected(host: Host, ran: Path, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    run = hooks / "run"
    run.write_text(f"#!/bin/sh\ntouch {ran}\n")
    run.chmod(0o755)
    for name in ("post-checkout", "reference-transaction", "pre-push", "post-index-change", "pre-commit", "update"):
        (hooks / name).symlink_to(run)
    (hooks / "included").write_text(f"[core]\n\tfsmonitor = {run}\n")
    (hooks / "attributes").write_text("* filter=evil diff=evil\n")
    checkout, snapshot = await host.ready()
    agent(
        checkout, "echo x > x; git add x; git commit -qm x; echo y > y; echo '* filter=evil diff=evil' > .gitattributes"
    )
    for key, value in HOSTILE_CONFIG.items():
        git(checkout, "config", key, value.format(run=run, hooks=hooks))
    git(checkout, "config", "core.worktree", "/")
    (checkout / ".git/hooks/post-checkout").symlink_to(run)
    (checkout / ".git/info/attributes").write_text("* filter=evil diff=evil\n")
    report = await host.workspaces.collect(host.slot(), snapshot, "run-1")
    assert report.kept_ref
    assert report.files_changed == [".gitattributes", "x", "y"]
    assert not ran.exists()
    git(checkout, "-c", f"core.worktree={checkout}", "status")
    assert ran.exists(), "whoever looks with the checkout's own config does run it"
    ran.unlink()
    checkout, _ = await host.ready("run-2")
    assert agent(checkout, "git config --list --local").count(str(hooks)) == 0
    assert not ran.exists()


async def test_a_repository_inside_the_checkout_runs_nothing(host: Host, upstream: Upstream, ran: Path) -> None:
    inside = f"git init -q $d; git -C $d config core.fsmonitor 'touch {ran}'; echo x > $d/x"
    checkout = await a_whole_run(host, f"for d in nested src src/deep; do {inside}; done")
    agent(checkout, "cd src; git status")
    assert not ran.exists()


@pytest.mark.parametrize(
    "script",
    [
        "rm -rf .git; ln -s {outside} .git",
        "rm -rf .git; echo 'gitdir: {outside}' > .git",
        "rm -rf .git/objects; ln -s {outside} .git/objects",
        "rm -rf .git/objects/pack; ln -s {outside} .git/objects/pack",
        "rm -rf .git/refs; ln -s {outside} .git/refs",
        "rm -rf .git/refs/heads; ln -s {outside} .git/refs/heads",
        "rm .git/HEAD; ln -s {outside}/precious.txt .git/HEAD",
        "rm .git/packed-refs; ln -s {outside}/precious.txt .git/packed-refs",
        "rm .git/index; ln -s {outside}/precious.txt .git/index",
        "rm -rf .git/hooks; ln -s {outside} .git/hooks",
        "rm -rf .git/info; ln -s {outside} .git/info",
        "rm -rf src; ln -s {outside} src",
        "ln -s {outside} there; ln -s {outside}/precious.txt README.link",
        "rm README; ln -s {outside}/precious.txt README",
        "rm .gitignore; ln -s {outside}/precious.txt .gitignore",
        "ln -s {outside}/precious.txt .gitattributes",
        "echo {outside} > .git/objects/info/alternates",
        "echo {outside} > .git/commondir",
        "rm .git/HEAD; mkfifo .git/HEAD; rm .git/packed-refs; mkfifo .git/packed-refs",
        "mkdir -p .git/logs/refs; ln -s {outside} .git/worktrees; ln -sf {outside}/precious.txt .git/logs/refs/stash",
    ],
)
async def test_no_link_leads_us_out_of_the_checkout(host: Host, upstream: Upstream, outside: Path, script: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in (outside, *outside.iterdir())}
    checkout = await a_whole_run(host, f"{script.format(outside=outside)}; echo mine > mine.txt")
    assert files_in(checkout) == files_in(upstream.clone)
    assert agent(checkout, "git status --porcelain") == ""
    assert {path: path.stat().st_mtime_ns for path in (outside, *outside.iterdir())} == before
    listing = git(host.mirror(), "cat-file", "--batch-check", "--batch-all-objects")
    listing += git(host.kept(), "cat-file", "--batch-check", "--batch-all-objects")
    secret = git(host.mirror(), "hash-object", str(outside / "precious.txt"))
    assert secret not in listing


async def test_a_checkout_that_became_a_link_is_made_again(host: Host, upstream: Upstream, outside: Path) -> None:
    checkout, snapshot = await host.ready()
    checkout.rename(checkout.with_name("moved"))
    checkout.symlink_to(outside)
    await host.workspaces.collect(host.slot(), snapshot, "run-1")
    checkout, _ = await host.ready("run-2")
    assert not checkout.is_symlink()
    assert files_in(checkout) == files_in(upstream.clone)
    assert files_in(outside) == {"precious.txt": "precious\n"}


async def test_an_alternate_to_a_foreign_repository_brings_nothing_of_it(host: Host, tmp_path: Path) -> None:
    foreign = Upstream(tmp_path / "foreign")
    secret = foreign.push({"secret.txt": "secret\n"})
    objects = foreign.clone / ".git" / "objects"
    report_of = await left(
        host, f"echo {objects} >> .git/objects/info/alternates; git update-ref refs/heads/x {secret}"
    )
    assert "cannot be read" in " ".join(report_of)
    assert secret not in git(host.mirror(), "cat-file", "--batch-check", "--batch-all-objects")


async def left(host: Host, script: str) -> list[str]:
    checkout, snapshot = await host.ready()
    agent(checkout, script)
    return (await host.workspaces.collect(host.slot(), snapshot, "run-1")).notes


async def test_forged_objects_do_not_reach_the_mirror(host: Host, upstream: Upstream) -> None:
    """An object whose name is not its content's, and a tree that would write into `.git`."""
    script = (
        "echo good > good; git add good; git commit -qm good; blob=$(git rev-parse HEAD:good); "
        "f=.git/objects/$(echo $blob | cut -c1-2)/$(echo $blob | cut -c3-); "
        "echo evil > evil; e=$(git hash-object -w evil); rm evil; chmod u+w $f; "
        "cat .git/objects/$(echo $e | cut -c1-2)/$(echo $e | cut -c3-) > $f"
    )
    notes = await left(host, script)
    assert "could not be kept" in " ".join(notes)
    assert git(host.kept(), "for-each-ref", "refs/agent-runs") == ""
    git(host.mirror(), "fsck", "--strict")


async def test_a_malicious_tree_does_not_reach_the_mirror(host: Host) -> None:
    script = (
        "b=$(git hash-object -w README); t=$(printf '100644 blob %s\\tconfig\\n' $b | git mktree); "
        "t=$(printf '040000 tree %s\\t.git\\n' $t | git mktree); "
        "git update-ref refs/heads/evil $(git commit-tree $t -m evil)"
    )
    notes = await left(host, script)
    assert "could not be kept" in " ".join(notes)
    assert git(host.kept(), "for-each-ref", "refs/agent-runs") == ""


async def test_an_agent_cannot_overwrite_anything_else_in_the_mirror(host: Host, upstream: Upstream) -> None:
    before = git(host.mirror(), "for-each-ref") if (host.state / "mirrors").exists() else ""
    await left(host, "git commit -q --allow-empty -m x; git update-ref refs/heads/main HEAD; git tag -f v1")
    after = git(host.mirror(), "for-each-ref", "--format=%(refname)")
    assert set(after.splitlines()) == {"refs/agent/HEAD", "refs/heads/main"}
    assert git(host.kept(), "for-each-ref", "--format=%(refname)") == "refs/agent-runs/run-1"
    assert git(host.mirror(), "rev-parse", "main") == upstream.head()
    assert before == ""


# What an operator's own checkout may say


async def test_the_operators_checkout_is_read_as_data(tmp_path: Path, upstream: Upstream, ran: Path) -> None:
    infra = tmp_path / "infra"
    git(tmp_path, "clone", "--quiet", str(upstream.remote), str(infra))
    included = tmp_path / "included"
    included.write_text('[remote "origin"]\n\turl = /nonsense\n')
    for key, value in HOSTILE_CONFIG.items():
        git(infra, "config", key, value.format(run=f"touch {ran}", hooks=tmp_path))
    git(infra, "config", "include.path", str(included))
    git(infra, "config", "core.worktree", "/nonsense")
    host = Host(tmp_path / "state", infra)
    checkout, snapshot = await host.ready()
    assert snapshot.commit == upstream.head()
    assert agent(checkout, "git remote get-url origin") == str(upstream.remote)
    assert not ran.exists()


async def test_a_checkout_without_a_remote_runs_nothing_when_it_is_mirrored(
    tmp_path: Path, upstream: Upstream, ran: Path
) -> None:
    git(upstream.clone, "remote", "remove", "origin")
    run = tmp_path / "run"
    run.write_text(f"#!/bin/sh\ntouch {ran}\n")
    run.chmod(0o755)
    for key, value in HOSTILE_CONFIG.items():
        if not key.startswith("remote."):
            git(upstream.clone, "config", key, value.format(run=run, hooks=tmp_path))
    for key in ("uploadpack.packObjectsHook", "core.alternateRefsCommand"):
        git(upstream.clone, "config", key, str(run))
    host = Host(tmp_path / "state", upstream.clone)
    _, snapshot = await host.ready()
    assert snapshot.commit == git(upstream.clone, "-c", "core.fsmonitor=false", "rev-parse", "HEAD")
    assert not ran.exists()


@pytest.mark.parametrize("url", ["ext::sh -c touch% {ran}", "--upload-pack=touch {ran}", "fd::0", "-oProxyCommand=x"])
async def test_an_url_that_would_run_something_is_refused(tmp_path: Path, ran: Path, url: str) -> None:
    host = Host(tmp_path / "state", url.format(ran=ran))
    with pytest.raises(WorkspaceError, match="refused"):
        await host.workspaces.sync()
    assert not ran.exists()


async def test_a_checkout_whose_origin_would_run_something_is_refused(
    tmp_path: Path, upstream: Upstream, ran: Path
) -> None:
    git(upstream.clone, "config", "remote.origin.url", f"ext::sh -c touch% {ran}")
    with pytest.raises(WorkspaceError, match="refused"):
        await Host(tmp_path / "state", upstream.clone).workspaces.sync()
    assert not ran.exists()


async def test_credentials_in_an_url_show_nowhere_but_in_the_checkouts_own_config(
    tmp_path: Path, upstream: Upstream
) -> None:
    secret = "hunter2"
    config = WorkspaceConfig(remote=f"http://me:{secret}@127.0.0.1:1/x.git")
    host = Host(tmp_path / "state", upstream.remote, workspaces={"private": config})
    with pytest.raises(WorkspaceError) as caught:
        await host.workspaces.sync("private")
    assert secret not in str(caught.value) + repr(caught.value.__dict__)
    (state,) = (host.state / "mirrors").glob("x-*.json")
    assert secret not in state.read_text() + state.name


def test_tips_of_nonsense_are_none(tmp_path: Path) -> None:
    assert read_untrusted_refs(tmp_path / "nothing").all == []
    (tmp_path / "HEAD").write_bytes(os.urandom(10_000))
    (tmp_path / "packed-refs").write_bytes(os.urandom(10_000))
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "x").write_bytes(os.urandom(100))
    assert read_untrusted_refs(tmp_path).all == []
