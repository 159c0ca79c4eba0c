"""A first workspace for whoever has none: a repository with one empty commit."""

from __future__ import annotations

from pathlib import Path

from agent.git.git import KEEPER, Git
from agent.system.files import remove


async def make_starter(git: Git, path: Path) -> Path:
    """The repository at `path`, made if it is not there."""
    if (path / ".git" / "HEAD").exists():
        return path
    unfinished = path.with_name(f".{path.name}.new")
    remove(unfinished)
    unfinished.mkdir(parents=True)
    fresh = git.at(unfinished / ".git", unfinished).given(KEEPER)
    await fresh.run("init", "--quiet", "--template=", "--initial-branch=main")
    # so that a push to the checked out branch also updates its files
    await fresh.run("config", "receive.denyCurrentBranch", "updateInstead")
    await fresh.run("commit", "--quiet", "--allow-empty", "--message=Begin")
    unfinished.rename(path)
    return path
