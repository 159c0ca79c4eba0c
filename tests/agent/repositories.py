"""A real remote, an upstream developer, an operator's checkout, and agents that use git as they like."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from agent.domain.checkout import Identity, Snapshot
from agent.settings import AgentSettings
from agent.workspaces.workspaces import Workspaces

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Upstream",
    "GIT_AUTHOR_EMAIL": "upstream@example.com",
    "GIT_COMMITTER_NAME": "Upstream",
    "GIT_COMMITTER_EMAIL": "upstream@example.com",
    "GIT_ALLOW_PROTOCOL": "file",
}
# An agent's git has no home and no identity but the one in its checkout.
AGENT_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if "AUTHOR" not in name and "COMM" not in name}


def git(directory: Path, *arguments: str) -> str:
    """What upstream's git prints."""
    return run(["git", *arguments], directory, ENVIRONMENT)


def agent(checkout: Path, script: str) -> str:
    """What an agent's shell prints, in its checkout; it stops at the first command that fails."""
    return run(["sh", "-euc", script], checkout, AGENT_ENVIRONMENT)


def run(argv: list[str], directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{argv} failed in {directory}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@cache
def _template() -> Path:
    """A remote with one commit and a clone of it, to copy."""
    directory = Path(tempfile.mkdtemp(prefix="upstream-"))
    atexit.register(shutil.rmtree, directory)
    git(directory, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "remote.git")
    git(directory, "init", "--quiet", "--template=", "--initial-branch=main", "developer")
    clone = directory / "developer"
    (clone / "src").mkdir()
    for name, content in {"README": "hello\n", "src/a.txt": "a\n", ".gitignore": "*.ignored\n"}.items():
        (clone / name).write_text(content)
    git(clone, "remote", "add", "origin", "../remote.git")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "change")
    git(clone, "push", "--quiet", "origin", "main")
    return directory


def python(script: Path, *arguments: object, within: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A Python of its own, in a session of its own, that finds these modules."""
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [*within, sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


class Upstream:
    """A bare remote, and a clone that pushes to it."""

    def __init__(self, directory: Path, files: dict[str, str | None] | None = None) -> None:
        self.remote = directory / "remote.git"
        self.clone = directory / "developer"
        shutil.copytree(_template(), directory, symlinks=True)
        if files:
            self.push(files)

    def push(self, files: dict[str, str | None], message: str = "change", branch: str = "main") -> str:
        """Commit those files and push; the commit."""
        for name, content in files.items():
            path = self.clone / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "--message", message)
        git(self.clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self.head()

    def head(self) -> str:
        return git(self.clone, "rev-parse", "HEAD")

    def log(self, ref: str = "main") -> list[str]:
        """The subjects that the remote has, newest first."""
        return git(self.remote, "log", "--format=%s", ref).splitlines()

    def go_away(self) -> None:
        self.remote.rename(self.remote.with_suffix(".away"))

    def come_back(self) -> None:
        self.remote.with_suffix(".away").rename(self.remote)


class Host:
    """A service's workspaces, with a few words for tests."""

    def __init__(self, state: Path, source: str | Path, environ: dict[str, str] | None = None, **settings: Any) -> None:
        self.state = state
        defaults: dict[str, Any] = {"fetch_debounce_seconds": 0.0, "fetch_timeout_seconds": 10.0}
        self.settings = AgentSettings(state_dir=state, workspace_dir=str(source), **(defaults | settings))
        self.workspaces = Workspaces(self.settings, {"PATH": ENVIRONMENT["PATH"], **(environ or {})})

    def slot(self, number: int = 0) -> Path:
        return self.state / "slots" / str(number)

    async def ready(self, run_id: str = "run-1", number: int = 0, ref: str | None = None) -> tuple[Path, Snapshot]:
        """A checkout made ready for that run."""
        snapshot = await self.workspaces.sync("default", ref)
        identity = Identity(agent="tester", run_id=run_id)
        return await self.workspaces.checkout(self.slot(number), snapshot, identity), snapshot

    async def restored(self, run_id: str) -> Path:
        """A new directory with what is kept of that run."""
        return await self.workspaces.restore(run_id, self.state.parent / f"restored-{run_id}")

    def kept(self) -> Path:
        """Return the repository with what agents left unpushed."""
        (kept,) = (self.state / "kept").glob("*.git")
        return kept

    def mirror(self) -> Path:
        (mirror,) = (self.state / "mirrors").glob("*.git")
        return mirror


class CountedGit:
    """A `git` for PATH that notes what it is asked to do, and does it."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "calls"
        script = directory / "bin" / "git"
        script.parent.mkdir(parents=True)
        self.log.touch()
        script.write_text(f'#!/bin/sh\necho "$1" >> {self.log}\nexec {shutil.which("git")} "$@"\n')
        script.chmod(0o755)
        self.environ = {"PATH": f"{script.parent}:{ENVIRONMENT['PATH']}"}

    def count(self, command: str) -> int:
        return self.log.read_text().splitlines().count(command)


def files_in(tree: Path) -> dict[str, str]:
    """The content of each file in a working tree, links as what they point to."""
    found = {}
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if name == ".git" or name.startswith(".git/"):
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_text(errors="replace")
    return found
