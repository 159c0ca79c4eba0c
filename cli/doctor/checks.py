"""Runs all checks at once and lists their findings in a fixed order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from cli.doctor.agent_access import check_environment, check_missing, check_network, check_paths, check_template
from cli.doctor.api import check_api, check_token
from cli.doctor.claude import check_cli, check_credential
from cli.doctor.context import DoctorContext
from cli.doctor.database import check_database
from cli.doctor.finding import Finding, broken, skipped
from cli.doctor.prefect import check_prefect
from cli.doctor.repositories import check_repositories
from cli.doctor.sandbox import check_sandbox, check_size, check_user
from cli.doctor.state_dir import check_state
from store.settings import default_database_url

LONGEST_SECONDS = 14.0
"""The time limit of a check; all run at the same time."""


class Check(NamedTuple):
    """A check by name; `within_state`: it is skipped while STATE_DIR is broken."""

    name: str
    run: Callable[[DoctorContext], Awaitable[list[Finding]]]
    within_state: bool = False


def checks(world: DoctorContext) -> list[Check]:
    """Return the checks in the order of their findings."""
    own_database = world.store.database_url in (None, default_database_url(world.agent.state_dir))
    return [
        Check("claude", check_cli),
        Check("credential", check_credential),
        Check("sandbox", check_sandbox),
        Check("user", check_user),
        Check("size", check_size),
        Check("state", check_state),
        Check("database", check_database, within_state=own_database),
        Check("git", check_repositories),
        Check("prefect", check_prefect, within_state=world.prefect_url is None),
        Check("token", check_token),
        Check("api", check_api),
        Check("agent env", check_environment),
        Check("agent paths", check_paths),
        Check("agent network", check_network),
        Check("agent config", check_template),
        Check("not seen", check_missing),
    ]


async def run_checks(world: DoctorContext) -> list[Finding]:
    """Return the findings of all checks, without secrets, within `LONGEST_SECONDS`."""
    every = checks(world)
    running = {check.name: asyncio.create_task(_run(check, world)) for check in every}
    found = {name: await task for name, task in running.items()}
    state_is_broken = any(one.level == "broken" for one in found["state"])
    listed = [
        [skipped(check.name, "STATE_DIR")] if check.within_state and state_is_broken else found[check.name]
        for check in every
    ]
    redactor = world.redactor()
    return [
        one.model_copy(update={"text": redactor.redact(one.text), "mend": redactor.redact(one.mend)})
        for findings in listed
        for one in findings
    ]


async def _run(check: Check, world: DoctorContext) -> list[Finding]:
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await check.run(world)
    except TimeoutError:
        return [broken(check.name, f"no answer within {LONGEST_SECONDS:.0f} s", "try it by hand")]
    except Exception as error:  # one check that fails must not hide what the others found
        return [broken(check.name, f"the check failed: {type(error).__name__}: {error}", "try it by hand")]
