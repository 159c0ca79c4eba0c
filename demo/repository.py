"""Makes the demo's git remote from the files under demo/workspace."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

WORKSPACE = Path(__file__).parent / "workspace"
# Fixed, so that the same files are the same commit everywhere.
IDENTITY = {
    "GIT_AUTHOR_NAME": "Lantern Bay",
    "GIT_AUTHOR_EMAIL": "pier@lantern-bay.example",
    "GIT_AUTHOR_DATE": "2026-03-06T12:00:00+00:00",
    "GIT_COMMITTER_NAME": "Lantern Bay",
    "GIT_COMMITTER_EMAIL": "pier@lantern-bay.example",
    "GIT_COMMITTER_DATE": "2026-03-06T12:00:00+00:00",
}
# Nothing of the user's own git setup acts here: no signing, no hooks, no templates, no line-end conversion.
ISOLATION = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.devnull, "PATH": os.defpath}


def create_repository(target: Path) -> Path:
    """Return the bare repository `target/origin.git` with branch main, made whole unless it is there already."""
    origin = target.resolve() / "origin.git"
    if not origin.exists():
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".origin-") as scratch:
            build_repository(Path(scratch)).rename(origin)
    return origin


def build_repository(scratch: Path) -> Path:
    """Commit the demo's files in `scratch`, and return a bare clone of that."""
    checkout, bare = scratch / "checkout", scratch / "bare"
    shutil.copytree(WORKSPACE, checkout)
    git(checkout, "init", "--quiet", "--template=", "--initial-branch=main")
    git(checkout, "add", "--all", "--force")
    git(checkout, "commit", "--quiet", "--message", "Everything on the pier, as of this morning")
    git(scratch, "clone", "--quiet", "--bare", "--template=", str(checkout), str(bare))
    git(bare, "remote", "remove", "origin")
    return bare


def git(directory: Path, *arguments: str) -> str:
    """Run git in `directory` and return what it printed; CalledProcessError with its stderr if it fails."""
    command = [shutil.which("git") or "git", *arguments]
    environment = IDENTITY | ISOLATION
    done = subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True
    )
    return done.stdout
