"""Creates an empty repository for an installation without a workspace."""

from __future__ import annotations

from pathlib import Path

from agent.git.git import SERVICE_IDENTITY, Git
from agent.system.files import remove


async def create_starter_repository(git: Git, path: Path) -> Path:
    """Return the repository at `path`; create it with one empty commit if there is none."""
    if (path / ".git" / "HEAD").exists():
        return path
    unfinished = path.with_name(f".{path.name}.new")
    remove(unfinished)
    unfinished.mkdir(parents=True)
    fresh = git.at(unfinished / ".git", unfinished).with_environment(SERVICE_IDENTITY)
    await fresh.run("init", "--quiet", "--template=", "--initial-branch=main")
    # so that a push to the checked out branch also updates its files
    await fresh.run("config", "receive.denyCurrentBranch", "updateInstead")
    await fresh.run("commit", "--quiet", "--allow-empty", "--message=Begin")
    unfinished.rename(path)
    return path
