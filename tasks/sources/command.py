"""Source: output of a command, run in the agents' sandbox."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from agent.claude.environment import ALWAYS, DEFAULTS
from agent.domain.checkout import Checkout
from agent.redaction.redactor import mask_url_credentials
from agent.runtime import Runtime
from agent.sandbox.run_directory import RunFiles, private_directory
from agent.system.commands import Command, CommandFailed, TimeLimit
from agent.system.text import shorten
from tasks.sources.errors import SourceFailed
from tasks.sources.models import CommandSource
from tasks.sources.pages.json_documents import find_list, read_json
from tasks.sources.secret_files import NamedSecrets

_EXCERPT_CHARACTERS = 300


async def list_command(
    source: CommandSource, runtime: Runtime, checkout: Checkout, secrets: NamedSecrets, place_id: str
) -> list[Any]:
    """Run the command in the workspace, sandboxed like an agent, and return the list that it prints.

    Raises SourceFailed.
    """
    inherited = {name: os.environ[name] for name in (*ALWAYS, *runtime.settings.agent_env_allow) if name in os.environ}
    environment = DEFAULTS | inherited | secrets.fill(source.variables)
    directory = runtime.settings.state_dir / "runs" / place_id
    async with private_directory(directory, None) as private:
        run = RunFiles(place_id, checkout, private)
        place = runtime.sandbox.place(source.command, environment, run)
        program = Command(place.argv, place.environment, Path(place.directory), TimeLimit(source.timeout_seconds))
        try:
            printed = await program.run(limit=source.max_bytes + 1)
        except CommandFailed as failure:
            raise _explain(source, failure) from None
        except OSError as error:
            raise SourceFailed(f"{source.command[0]} cannot be started: {error.strerror}") from None
        finally:
            await place.kill_remaining()
    if len(printed) > source.max_bytes:
        raise SourceFailed(f"{source.command[0]} printed more than {source.max_bytes:,} bytes; raise max_bytes")
    if not printed.strip():
        return []  # valid JSON Lines with no line
    document = await asyncio.to_thread(read_json, printed, source.command[0])
    return find_list(document, source.items, source.command[0])


def _explain(source: CommandSource, failure: CommandFailed) -> SourceFailed:
    name = source.command[0]
    if failure.exit_status is None:
        seconds = f"{source.timeout_seconds:g} s"
        return SourceFailed(f"{name} was still running after {seconds} and was ended; raise timeout_seconds")
    said = shorten(mask_url_credentials(failure.stderr[-_EXCERPT_CHARACTERS:]), _EXCERPT_CHARACTERS)
    return SourceFailed(f"{name} ended with {failure.exit_status}: {said or 'it printed no error'}", retryable=True)
