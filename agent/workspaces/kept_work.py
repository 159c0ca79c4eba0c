"""Unpushed work of runs, kept as refs/agent-runs/<run id> in the repository beside the mirror.

Each ref is a commit of the service on top of the agent's: its tree is the working tree as the agent left it, its
first parent the agent's HEAD, its other parents the other commits that the agent named. Its date is when it was kept.
"""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from agent.domain.checkout import RUN_TRAILER, Snapshot
from agent.domain.errors import WorkspaceError
from agent.domain.values import Frozen
from agent.git.git import SERVICE_IDENTITY, Git
from agent.git.git_directory import CORE, GitDir
from agent.git.inert import acting_paths, make_inert
from agent.mirrors.mirror import Mirror
from agent.system.concurrency import run_to_completion
from agent.system.files import remove
from agent.workspaces.leftover_work import LeftoverWork
from agent.workspaces.own_commits import OwnCommits

PREFIX = "refs/agent-runs/"
INERT = "renamed-by-agent-service"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


FIELDS = "%00".join(
    (
        "%(refname)",
        "%(committerdate:unix)",
        "%(contents:subject)",
        "%(trailers:key=Workspace,valueonly,separator=%2C)",
    )
)


class KeptWork(Frozen):
    """The kept work of one run, as a mirror lists it."""

    run_id: str
    workspace: str
    ref: str
    kept_at: datetime
    subject: str
    mirror: Path
    repository: Path


def kept_ref(run_id: str) -> str:
    """Return the ref of that run. Raises WorkspaceError if git would refuse the name."""
    if not RUN_ID.fullmatch(run_id) or len(run_id) > 200 or run_id.endswith(".lock"):
        raise WorkspaceError(f"run id {run_id!r} refused: letters, digits, '.', '_' and '-' only")
    return f"{PREFIX}{run_id}"


async def keep(mirror: Mirror, leftover: LeftoverWork, own: OwnCommits, snapshot: Snapshot, run_id: str) -> str:
    """Push commits and tree beside the mirror, where all objects are checked; return their ref. Raises GitError."""
    ref = kept_ref(run_id)
    work = leftover.git.with_environment(SERVICE_IDENTITY)
    parents = dict.fromkeys([leftover.head, *own.to_keep(leftover)])
    if leftover.before:
        beside = await work.text("commit-tree", leftover.before, "-m", "Files that were there beside the changed ones")
        parents[beside] = None
    tree = leftover.tree or f"{leftover.head}^{{tree}}"
    arguments = [argument for parent in parents for argument in ("-p", parent)]
    message = _message(leftover, own, snapshot, run_id).encode()
    commit = (await work.run("commit-tree", tree, *arguments, stdin=message)).decode().strip()
    # with a bitmap, git would leave out objects that only a ref has which the remote may delete
    whole = work.with_environment({}, {"pack.useBitmaps": "false"})
    async with mirror.kept.locked():
        await mirror.kept.create(mirror.shallow())
        remove(mirror.kept.path / f"{ref}.lock")
        await whole.run("push", "--quiet", "--no-verify", str(mirror.kept.path), f"+{commit}:{ref}")
    return ref


async def list_kept(mirror: Mirror) -> list[KeptWork]:
    """List the kept work of that mirror's runs, newest first."""
    await mirror.kept.adopt()
    if mirror.kept.is_empty:
        return []
    listing = await mirror.kept.git.text("for-each-ref", "--sort=-committerdate", f"--format={FIELDS}", PREFIX)
    return [_kept(line, mirror) for line in filter(None, listing.split("\n"))]


async def drop_kept(mirror: Mirror, refs: list[str]) -> None:
    """Delete those refs, and the objects that nothing else needs."""
    async with mirror.kept.locked():
        git = mirror.kept.git
        await git.run("update-ref", "--stdin", stdin="".join(f"delete {ref}\n" for ref in refs).encode())
        if await git.text("for-each-ref", "--count=1", PREFIX):
            await git.run("repack", "-a", "-d", "-l", "-q")
        else:
            await run_to_completion(asyncio.to_thread(remove, mirror.kept.path))


async def bundle_kept(mirror: Mirror, kept: KeptWork) -> Path:
    """Write the kept work as a git bundle, without the commits of the remote's branches; the caller removes it."""
    # a name that the host's start removes, should nobody else
    bundle = mirror.kept.path.with_name(f".bundle.{os.getpid()}.{os.urandom(4).hex()}")
    view = bundle.with_name(f".view.{os.getpid()}.{os.urandom(4).hex()}")
    packed = await asyncio.to_thread((await mirror.load()).packed)
    commit = await mirror.kept.git.text("rev-parse", kept.ref)
    described = GitDir(
        "ref: refs/heads/none",
        (mirror.kept.objects, mirror.objects),
        packed,
        mirror.shallow(),
        {"core": CORE},
        refs={kept.ref: commit},
    )
    try:
        await run_to_completion(asyncio.to_thread(described.write, view))
        await mirror.git.at(view).run("bundle", "create", "--quiet", str(bundle), kept.ref, "--not", "--remotes")
    except BaseException:
        bundle.unlink(missing_ok=True)
        raise
    finally:
        await run_to_completion(asyncio.to_thread(remove, view))
    return bundle


async def restore_kept(git: Git, kept: KeptWork, url: str, target: Path) -> Path:
    """Clone to `target`: the agent's branch and commits, and its uncommitted changes as changes.

    Raises WorkspaceError if `target` is there already.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise WorkspaceError(f"{target} is not empty", "name a new directory")
    target.mkdir(parents=True, exist_ok=True)
    branch = f"agent-run/{kept.run_id}"
    clone = git.at(target / ".git", target)
    await clone.run("init", "--quiet", "--template=")
    await clone.run("config", "remote.origin.url", url)
    await clone.run("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow")
    await clone.run(*fetch, str(kept.mirror), "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    await clone.run(*fetch, str(kept.repository), f"+{kept.ref}:{kept.ref}")
    await clone.run("checkout", "--quiet", "-b", branch, f"{kept.ref}^1")
    await clone.run("read-tree", "--reset", "-u", kept.ref)
    await clone.run("reset", "--quiet", "--mixed")
    await _make_inert(clone, target)
    return target


async def _make_inert(clone: Git, target: Path) -> None:
    """Rename what would act on whoever looks at the clone, and note it in the clone's git directory."""
    tracked = set((await clone.run("ls-files", "-z", "--cached")).split(b"\0")) - {b""}
    others = set((await clone.run("ls-files", "-z", "--others")).split(b"\0")) - {b""}
    acting = await asyncio.to_thread(acting_paths, target, sorted(map(os.fsdecode, tracked | others)))
    if not acting:
        return
    # git then neither misses them nor writes them again
    told = b"".join(name + b"\0" for name in map(os.fsencode, acting) if name in tracked)
    await clone.run("update-index", "-z", "--skip-worktree", "--stdin", stdin=told)
    for path in acting:
        make_inert(target, path)
    (target / ".git" / INERT).write_text("".join(f"{path}\n" for path in acting), errors="surrogateescape")


def renamed_in(clone: Path) -> list[str]:
    """Return the files that `restore_kept` renamed in that clone, because they would have acted."""
    note = clone / ".git" / INERT
    return note.read_text(errors="surrogateescape").splitlines() if note.exists() else []


def _message(leftover: LeftoverWork, own: OwnCommits, snapshot: Snapshot, run_id: str) -> str:
    unpushed = own.unpushed
    parts = [f"{len(unpushed)} unpushed commit{'' if len(unpushed) == 1 else 's'}"] if unpushed else []
    parts += ["uncommitted changes"] if leftover.tree else []
    others = [f"{name}: {sha}" for name, sha in leftover.named.items() if sha in unpushed]
    facts = {
        RUN_TRAILER: run_id,
        "Workspace": snapshot.workspace,
        "Base": leftover.base,
        "Head": leftover.branch or leftover.head,
    }
    lines = [f"Kept from a run: {' and '.join(parts)}", "", *others, "", *(f"{key}: {facts[key]}" for key in facts)]
    return "\n".join((*lines, ""))


def _kept(line: str, mirror: Mirror) -> KeptWork:
    ref, seconds, subject, workspace = line.split("\0")
    return KeptWork(
        run_id=ref.removeprefix(PREFIX),
        workspace=workspace.strip(),
        ref=ref,
        kept_at=datetime.fromtimestamp(int(seconds), UTC),
        subject=subject,
        mirror=mirror.path,
        repository=mirror.kept.path,
    )
