"""The remote of a workspace: a URL, a bare repository, or a local checkout and its origin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from agent.domain.errors import WorkspaceError
from agent.git.git import Git, refuse_option
from agent.redaction.redactor import mask_url_credentials

SCP_LIKE = re.compile(r"[^/]+:(?!//)")


@dataclass(frozen=True)
class Remote:
    """A repository to fetch from, and the branch that the operator's checkout of it is on."""

    url: str
    branch: str | None = None

    @property
    def path(self) -> Path | None:
        """Return its path if it is on this machine, else None."""
        return Path(self.url) if self.url.startswith("/") else None

    @property
    def is_bare(self) -> bool:
        """True if it is a bare repository on this machine."""
        return self.path is not None and is_git_directory(self.path)

    @property
    def key(self) -> str:
        """Return a file name for it without any credential."""
        stem = re.sub(r"[^\w.-]+", "-", mask_url_credentials(self.url).rstrip("/").split("/")[-1].removesuffix(".git"))
        return f"{stem.strip('.-')[:40] or 'repository'}-{sha256(self.url.encode()).hexdigest()[:12]}"


async def find_remote(git: Git, source: str) -> Remote:
    """Return the remote that `source` stands for; its config is read as data. Raises WorkspaceError."""
    refuse_option(source, "remote")
    place = Path(source).expanduser()
    if "://" in source or (SCP_LIKE.match(source) and not place.exists()):
        return Remote(source.removeprefix("file://"))
    place = place.absolute()
    if not place.is_dir():
        raise WorkspaceError(f"workspace {source}: there is no such directory", "clone it there, or set a URL")
    if not (place / ".git").exists():
        if is_git_directory(place):
            return Remote(str(place))
        _refuse(place)
    return await _of_checkout(git, place)


def is_git_directory(place: Path) -> bool:
    """True if git takes the directory for a repository without a working tree."""
    return (place / "HEAD").is_file() and (place / "objects").is_dir() and (place / "refs").is_dir()


async def _of_checkout(git: Git, checkout: Path) -> Remote:
    git_dir = _git_dir(checkout)
    common = _linked(git_dir / "commondir", git_dir) or git_dir
    branch = _head_branch(git_dir)
    config = await _read_config(git, common / "config")
    remotes = sorted({key.split(".", 1)[1].rsplit(".", 1)[0] for key in config if _is_url(key)})
    if not remotes:
        return Remote(str(checkout), branch)
    name = _chosen(remotes, config.get(f"branch.{branch}.remote"))
    merge = config.get(f"branch.{branch}.merge") if config.get(f"branch.{branch}.remote") == name else None
    url = refuse_option(config[f"remote.{name}.url"], "remote")
    return Remote(_absolute(url, checkout), (merge or f"refs/heads/{branch}")[11:] if branch else None)


def _is_url(key: str) -> bool:
    return key.startswith("remote.") and key.endswith(".url")


def _chosen(remotes: list[str], tracked: str | None) -> str:
    for name in (tracked, "origin"):
        if name in remotes:
            return name
    return remotes[0]


async def _read_config(git: Git, path: Path) -> dict[str, str]:
    """Return the first value of each key of a remote or a branch; includes are not followed."""
    if not path.is_file():
        return {}
    listing = await git.text("config", "--file", str(path), "--no-includes", "--null", "--list")
    values: dict[str, str] = {}
    for entry in listing.split("\0"):
        key, _, value = entry.partition("\n")
        if key.startswith(("remote.", "branch.")):
            values.setdefault(key, value)
    return values


def _git_dir(checkout: Path) -> Path:
    dot_git = checkout / ".git"
    if dot_git.is_dir():
        return dot_git
    linked = _linked(dot_git, checkout)
    return linked if linked is not None else _refuse(checkout)


def _linked(file: Path, base: Path) -> Path | None:
    """Return the directory that a `.git` file or a `commondir` file names; None without such a file."""
    if not file.is_file():
        return None
    return base / file.read_text(errors="replace")[:4096].strip().removeprefix("gitdir:").strip()


def _head_branch(git_dir: Path) -> str | None:
    head = (git_dir / "HEAD").read_text(errors="replace")[:4096].strip()
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else None


def _absolute(url: str, checkout: Path) -> str:
    is_path = "://" not in url and not SCP_LIKE.match(url)
    return str((checkout / Path(url).expanduser()).resolve()) if is_path else url.removeprefix("file://")


def _refuse(place: Path) -> NoReturn:
    raise WorkspaceError(f"workspace {place}: not a git repository", "run `git init` and commit there, or set another")
