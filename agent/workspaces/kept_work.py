"""Unpushed work of runs, kept as refs/agent-runs/<run id> in the mirror.

Each ref is a commit of the service on top of the agent's: its tree is the working tree as the agent left it, its
first parent the agent's HEAD, its other parents the other commits that the agent named. Its date is when it was kept.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from agent.domain.checkout import RUN_TRAILER, Snapshot
from agent.domain.errors import WorkspaceError
from agent.domain.values import Frozen
from agent.git.git import SERVICE_IDENTITY, Git
from agent.mirrors.mirror import Mirror
from agent.system.files import remove
from agent.workspaces.leftover_work import LeftoverWork

PREFIX = "refs/agent-runs/"
BUNDLE_BYTES = 256 * 1024 * 1024
"""A larger bundle is refused: it is made in memory."""

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


def kept_ref(run_id: str) -> str:
    """Return the ref of that run. Raises WorkspaceError if git would refuse the name."""
    if not RUN_ID.fullmatch(run_id) or len(run_id) > 200 or run_id.endswith(".lock"):
        raise WorkspaceError(f"run id {run_id!r} refused: letters, digits, '.', '_' and '-' only")
    return f"{PREFIX}{run_id}"


async def keep(mirror: Mirror, leftover: LeftoverWork, unpushed: list[str], snapshot: Snapshot, run_id: str) -> str:
    """Push commits and tree into the mirror, which checks all objects, and return their ref. Raises GitError."""
    ref = kept_ref(run_id)
    pending = set(unpushed)
    parents = [leftover.head, *(sha for sha in leftover.commits[1:] if sha in pending)]
    tree = leftover.tree or f"{leftover.head}^{{tree}}"
    arguments = [argument for parent in parents for argument in ("-p", parent)]
    work = leftover.git.with_environment(SERVICE_IDENTITY)
    message = _message(leftover, unpushed, snapshot, run_id).encode()
    commit = (await work.run("commit-tree", tree, *arguments, stdin=message)).decode().strip()
    async with mirror.locked("keep"):
        remove(mirror.path / f"{ref}.lock")
        await work.run("push", "--quiet", "--no-verify", str(mirror.path), f"+{commit}:{ref}")
    return ref


async def list_kept(mirror: Mirror) -> list[KeptWork]:
    """List the kept work in that mirror, newest first."""
    if not (mirror.path / "HEAD").exists():
        return []
    listing = await mirror.git.text("for-each-ref", "--sort=-committerdate", f"--format={FIELDS}", PREFIX)
    return [_kept(line, mirror) for line in filter(None, listing.split("\n"))]


async def drop_kept(mirror: Mirror, refs: list[str]) -> None:
    """Delete those refs."""
    async with mirror.locked():
        await mirror.git.run("update-ref", "--stdin", stdin="".join(f"delete {ref}\n" for ref in refs).encode())


async def bundle_kept(mirror: Mirror, kept: KeptWork) -> bytes:
    """Return the kept work as a git bundle, without the commits of the remote's branches.

    Raises WorkspaceError if it is too large.
    """
    command = ("bundle", "create", "--quiet", "-", kept.ref, "--not", "--branches")
    bundle = await mirror.git.run(*command, limit=BUNDLE_BYTES + 1)
    if len(bundle) > BUNDLE_BYTES:
        raise WorkspaceError(
            f"the kept work of {kept.run_id} is larger than {BUNDLE_BYTES} bytes",
            f"on its host, type: agent-service kept restore {kept.run_id}",
        )
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
    source = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", f"+{kept.ref}:{kept.ref}"]
    await clone.run("fetch", "--quiet", "--no-tags", "--update-shallow", str(kept.mirror), *source)
    await clone.run("checkout", "--quiet", "-b", branch, f"{kept.ref}^1")
    await clone.run("read-tree", "--reset", "-u", kept.ref)
    await clone.run("reset", "--quiet", "--mixed")
    return target


def _message(leftover: LeftoverWork, unpushed: list[str], snapshot: Snapshot, run_id: str) -> str:
    parts = [f"{len(unpushed)} unpushed commit{'' if len(unpushed) == 1 else 's'}"] if unpushed else []
    parts += ["uncommitted changes"] if leftover.tree else []
    pending = set(unpushed)
    others = [f"{name}: {sha}" for name, sha in leftover.named.items() if sha in pending]
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
    )
