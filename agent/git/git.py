"""Runs git with hooks, filters and configuration of the repository disabled.

Every call has a built environment, no system or user config, no hooks, filters, fsmonitor, aliases, prompts or
lazy fetches; it ends in bounded time, and its whole process group with it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.domain.errors import NotConfigured, WorkspaceError
from agent.redaction.redactor import mask_url_credentials
from agent.system.commands import Command, CommandFailed, TimeLimit

# These outrank whatever the config of a repository says.
OVERRIDES = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.trustctime": "true",
    "core.checkStat": "default",
    "core.pager": "cat",
    "core.quotePath": "false",
    "core.alternateRefsCommand": "true",
    "core.bigFileThreshold": "16m",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    "push.gpgSign": "false",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "30",
}

ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_EDITOR": "false",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ALLOW_PROTOCOL": "file",
}

# The author of the service's own commits, such as those of kept work.
SERVICE_IDENTITY = {
    "GIT_AUTHOR_NAME": "agent-service",
    "GIT_AUTHOR_EMAIL": "agent-service@localhost",
    "GIT_COMMITTER_NAME": "agent-service",
    "GIT_COMMITTER_EMAIL": "agent-service@localhost",
}

OUT_OF_MEMORY = "out of memory"
# What git prints, in lower case, and what the operator can do about it.
HINTS = (
    ("no space left", "free some space under STATE_DIR"),
    (OUT_OF_MEMORY, "what it worked on is larger than GIT_MEMORY_MB allows"),
    ("disk quota exceeded", "free some space under STATE_DIR"),
    ("permission denied (publickey", "is the deploy key mounted, or SSH_AUTH_SOCK set?"),
    ("host key verification failed", "add the host to known_hosts"),
    ("terminal prompts disabled", "set the workspace's credential_helper"),
    ("authentication failed", "is the token of the workspace's credential_helper still valid?"),
    ("could not resolve host", "is the network up?"),
    ("could not read from remote", "is the remote there, and may this service read it?"),
    ("repository not found", "is the remote there, and may this service read it?"),
    ("dubious ownership", "give the repository to the user that the service runs as"),
)


class GitError(WorkspaceError):
    """A git command that failed, with its exit status, the end of its stderr and what to try."""

    def __init__(
        self, command: str, exit_status: int | None, stderr: str, *, stdout: bytes = b"", retryable: bool = False
    ) -> None:
        self.command = command
        self.exit_status = exit_status
        self.stdout = stdout
        self.stderr_tail = mask_url_credentials(stderr)
        remedy = next((hint for sign, hint in HINTS if sign in self.stderr_tail.lower()), "")
        super().__init__(_sentence(command, exit_status, self.stderr_tail), remedy, retryable=retryable)


class TooMuchOutput(GitError):
    """A git command that was killed because it printed more than it may; `exit_status` is None."""


class GitTimedOut(GitError):
    """A git command that was killed at its time limit; `exit_status` is None."""


@dataclass(frozen=True)
class Bounds:
    """Limits of each git process that works on what an agent wrote: private memory, and output, in bytes."""

    memory_bytes: int
    output_bytes: int = 256 * 1024 * 1024

    def around(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return a command line that runs `argv` with the memory limit; its child processes have it, too."""
        # RLIMIT_DATA: packs are mapped into memory, however large they are, and must not count
        return ("/bin/sh", "-c", f'ulimit -d {self.memory_bytes // 1024} 2>/dev/null; exec "$@"', "sh", *argv)


@dataclass(frozen=True)
class Git:
    """A git executable with its environment: a git directory, and a working tree and an index if it needs them."""

    environment: Mapping[str, str]
    time_limit: TimeLimit
    executable: str = "git"
    config: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds | None = None

    def at(self, git_dir: Path, work_tree: Path | None = None, index: Path | None = None) -> Git:
        """Return this git for that git directory, working tree and index."""
        places = {"GIT_DIR": git_dir, "GIT_WORK_TREE": work_tree, "GIT_INDEX_FILE": index}
        return self.with_environment({name: str(path) for name, path in places.items() if path is not None})

    def with_environment(self, variables: Mapping[str, str], config: Mapping[str, str] | None = None) -> Git:
        """Return this git with more environment variables and more config."""
        return replace(
            self,
            environment={**self.environment, **variables},
            config={**self.config, **(config or {})},
        )

    def bounded_by(self, bounds: Bounds) -> Git:
        """Return this git with limits on what each process may take."""
        return replace(self, bounds=bounds)

    def with_time_limit(self, limit: TimeLimit) -> Git:
        """Return this git with another time limit."""
        return replace(self, time_limit=limit)

    async def text(self, *arguments: str, stdin: bytes = b"") -> str:
        """Return what the command prints, without the last newline. Raises GitError."""
        return (await self.run(*arguments, stdin=stdin)).decode(errors="replace").removesuffix("\n")

    async def run(self, *arguments: str, stdin: bytes = b"", limit: int | None = None) -> bytes:
        """Return the stdout, at most `limit` bytes: the command is killed at the limit. Raises GitError."""
        directory = Path(self.environment.get("GIT_WORK_TREE", "/"))
        argv: tuple[str, ...] = (self.executable, *arguments)
        most = None
        if self.bounds is not None:
            argv, most = self.bounds.around(argv), self.bounds.output_bytes
        command = Command(argv, self._whole_environment(), directory, self.time_limit)
        name = f"git {arguments[0]}"
        try:
            output = await command.run(stdin, most if limit is None else limit)
        except CommandFailed as failure:
            kind = GitTimedOut if failure.exit_status is None else GitError
            retryable = OUT_OF_MEMORY not in failure.stderr.lower()
            raise kind(name, failure.exit_status, failure.stderr, stdout=failure.stdout, retryable=retryable) from None
        if limit is None and most is not None and len(output) >= most:
            raise TooMuchOutput(name, None, f"fatal: it printed more than {most} bytes")
        return output

    def _whole_environment(self) -> dict[str, str]:
        config = {**OVERRIDES, **self.config}
        pairs = {"GIT_CONFIG_COUNT": str(len(config))}
        for number, (key, value) in enumerate(config.items()):
            pairs[f"GIT_CONFIG_KEY_{number}"] = key
            pairs[f"GIT_CONFIG_VALUE_{number}"] = value
        return {**self.environment, **pairs}


def find_git(path: str) -> str:
    """Return the path of the git binary on that PATH. Raises NotConfigured."""
    found = shutil.which("git", path=path)
    if found is None:
        raise NotConfigured("git is not installed", "install it (2.39 or later), or put it on PATH")
    return found


def refuse_option(value: str, what: str) -> str:
    """Return the value; raises WorkspaceError if git could take it for an option or for a command to run."""
    if not value or value.startswith("-"):
        raise WorkspaceError(f"{what} {mask_url_credentials(value)!r} refused: it must not be empty or begin with '-'")
    if re.match(r"[A-Za-z0-9]+::", value):
        raise WorkspaceError(f"{what} {mask_url_credentials(value)!r} refused: remote helpers are not used here")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise WorkspaceError(f"{what} {mask_url_credentials(value)!r} refused: it must not contain control characters")
    return value


def _sentence(command: str, exit_status: int | None, stderr: str) -> str:
    said = [line for line in re.split(r"[\r\n]+", stderr) if line.strip()]
    telling = [line for line in said if line.startswith(("fatal:", "error:", "ssh:"))] or said
    reason = " ".join((telling[0] if telling else "it said nothing").split())[:300]
    how = "timed out" if exit_status is None else f"failed ({exit_status})"
    return f"{command} {how}: {reason}"
