"""Maps workspaces and snapshots to mirrors."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from agent.domain.checkout import Snapshot
from agent.domain.errors import WorkspaceError
from agent.git.environment import GitEnvironment
from agent.git.git import GitError
from agent.git.remote import Remote, find_remote
from agent.mirrors.mirror import FetchLimits, Mirror
from agent.mirrors.starter_repository import create_starter_repository
from agent.settings import DEFAULT_WORKSPACE, AgentSettings, WorkspaceConfig
from agent.system.files import write

DEFAULT_CHECKOUT = Path("/workspace/infra")


class Mirrors:
    """The mirrors under one state directory, one object per host; workspaces with the same remote share a mirror."""

    def __init__(self, settings: AgentSettings, environment: GitEnvironment) -> None:
        self.settings = settings
        self.directory = settings.state_dir / "mirrors"
        self._environment = environment
        self._remotes: dict[str, tuple[float, Remote]] = {}
        self._urls: dict[Path, str] = {}

    def names(self) -> list[str]:
        """Return the names of the workspaces, the default one first."""
        return self.settings.workspace_names

    def config(self, name: str) -> WorkspaceConfig:
        """Return the settings of that workspace. Raises WorkspaceError, with the names, for an unknown one."""
        if name not in self.names():
            raise WorkspaceError(f"workspace {name!r} not found; there are: {', '.join(self.names())}")
        return self.settings.workspaces.get(name, WorkspaceConfig())

    def keep(self, snapshot: Snapshot) -> list[str]:
        """Return the patterns of files that stay from run to run in a checkout of that snapshot."""
        return self.settings.workspaces.get(snapshot.workspace, WorkspaceConfig()).keep

    async def of(self, name: str) -> Mirror:
        """Return the mirror of that workspace. Raises WorkspaceError."""
        config = self.config(name)
        found_at, remote = self._remotes.get(name, (0.0, None))
        if remote is None or time.monotonic() - found_at > self.settings.fetch_debounce_seconds:
            remote = await self._find_remote(name, config)
            self._remotes[name] = (time.monotonic(), remote)
        return self._open(remote, config)

    async def of_snapshot(self, snapshot: Snapshot) -> Mirror:
        """Return the mirror that the snapshot was taken from, even if the settings have changed since."""
        config = self.settings.workspaces.get(snapshot.workspace, WorkspaceConfig())
        return self._open(Remote(await self._url(snapshot.mirror)), config)

    async def all(self) -> list[Mirror]:
        """Return every mirror, also those of workspaces that are no longer set."""
        mirrors = []
        for path in sorted(self.directory.glob("*.git")):
            # the next fetch rebuilds a broken one; until then it must not hide the others
            with suppress(GitError):
                mirrors.append(self._open(Remote(await self._url(path)), WorkspaceConfig()))
        return mirrors

    async def _url(self, mirror: Path) -> str:
        """Return the mirror's URL; the mirror's name is made from it, so it never changes."""
        if mirror not in self._urls:
            git = self._environment.local()
            self._urls[mirror] = await git.text("config", "--file", str(mirror / "config"), "remote.origin.url")
        return self._urls[mirror]

    async def _find_remote(self, name: str, config: WorkspaceConfig) -> Remote:
        """Return the workspace's remote; while its directory is missing, e.g. not mounted, the remote it had before."""
        source = await self._source(name, config)
        note = self.directory / f"{sha256(json.dumps([name, source]).encode()).hexdigest()[:12]}.remote"
        try:
            remote = await find_remote(self._environment.local(), source)
        except WorkspaceError:
            known = _read_note(note)
            if known is None:
                raise
            return known
        if _read_note(note) != remote:
            note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write(note, json.dumps([remote.url, remote.branch]))
        return remote

    def _open(self, remote: Remote, config: WorkspaceConfig) -> Mirror:
        limits = FetchLimits(
            fetch_seconds=self.settings.clone_timeout_seconds,
            silence_seconds=self.settings.fetch_timeout_seconds,
            kept_work_max_bytes=self.settings.kept_work_max_bytes,
        )
        network = self._environment.network(config.credential_helper)
        return Mirror(self._environment.local(), network, self.directory, remote, limits)

    async def _source(self, name: str, config: WorkspaceConfig) -> str:
        if config.remote is not None:
            return config.remote
        if name != DEFAULT_WORKSPACE:
            raise WorkspaceError(f"workspace {name!r} has no remote", "set it in WORKSPACES")
        if self.settings.workspace_dir is not None:
            return self.settings.workspace_dir
        if DEFAULT_CHECKOUT.is_dir():
            return str(DEFAULT_CHECKOUT)
        return str(await create_starter_repository(self._environment.local(), self.settings.state_dir / "workspace"))


def _read_note(note: Path) -> Remote | None:
    try:
        url, branch = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return Remote(url, branch)
