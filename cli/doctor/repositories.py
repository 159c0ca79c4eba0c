"""Checks of git and of each workspace's remote, with the same commands as the service."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

from agent.domain.errors import AgentError, NotConfigured
from agent.git.environment import GitEnvironment
from agent.git.git import GitError
from agent.git.remote import find_remote
from agent.mirrors.registry import DEFAULT_CHECKOUT
from agent.redaction.redactor import mask_url_credentials
from agent.settings import DEFAULT_WORKSPACE, WorkspaceConfig
from agent.system.commands import TimeLimit
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, warning

REMOTE_SECONDS = 8.0
COMMIT = re.compile(r"[0-9a-f]{7,40}")
"""A commit's name: a remote lists only the tips of refs, but any commit can be fetched."""


async def check_repositories(world: DoctorContext) -> list[Finding]:
    """Check git and all workspaces at once."""
    with tempfile.TemporaryDirectory() as scratch:  # for git's configuration, which the service keeps elsewhere
        settings = world.agent.model_copy(update={"state_dir": Path(scratch)})
        environment = GitEnvironment(settings, world.environ)
        try:
            version = (await environment.local().text("version")).removeprefix("git version ")
        except NotConfigured as error:
            return [broken("git", error.problem, error.remedy)]
        names = settings.workspace_names
        found = await asyncio.gather(*(_check(world, environment, name) for name in names))
    return [ok("git", version), *found]


async def _check(world: DoctorContext, environment: GitEnvironment, name: str) -> Finding:
    check = f"workspace {name}"
    config = world.agent.workspaces.get(name, WorkspaceConfig())
    source = _source(world, name, config)
    setting = "WORKSPACE_DIR" if name == DEFAULT_WORKSPACE and config.remote is None else "WORKSPACES"
    if source is None and name == DEFAULT_WORKSPACE:
        return warning(check, "WORKSPACE_DIR is not set: agents start in an empty repository", "export WORKSPACE_DIR=…")
    if source is None:
        return broken(check, "it has no remote", "set it in WORKSPACES")
    try:
        remote = await find_remote(environment.local(), source)
        network = environment.network(config.credential_helper).with_time_limit(TimeLimit(REMOTE_SECONDS))
        wanted = config.ref or remote.branch
        listed = await network.text("ls-remote", "--end-of-options", remote.url)
    except GitError as error:
        by_hand = f"try `git ls-remote {mask_url_credentials(source)}`, or correct {setting}"
        return broken(check, f"{mask_url_credentials(source)}: {error.problem}", error.remedy or by_hand)
    except AgentError as error:
        return broken(check, error.problem, error.remedy)
    return _judge(check, mask_url_credentials(remote.url), listed, wanted)


def _judge(check: str, shown: str, listed: str, wanted: str | None) -> Finding:
    refs = [line.partition("\t")[2] for line in listed.splitlines()]
    if not refs:
        return broken(check, f"{shown} has no commit yet", "push a first one")
    names = {f"refs/heads/{wanted}", f"refs/tags/{wanted}", wanted}
    if wanted and not names.intersection(refs) and not COMMIT.fullmatch(wanted):
        text = f"{shown} answers, but has no {wanted}"
        return warning(check, text, f"push {wanted}, or set another ref in WORKSPACES")
    return ok(check, f"{shown} answers" + (f", at {wanted}" if wanted else ""))


def _source(world: DoctorContext, name: str, config: WorkspaceConfig) -> str | None:
    if config.remote is not None or name != DEFAULT_WORKSPACE:
        return config.remote
    if world.agent.workspace_dir is not None:
        return world.agent.workspace_dir
    return str(DEFAULT_CHECKOUT) if DEFAULT_CHECKOUT.is_dir() else None
