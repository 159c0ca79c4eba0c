"""Lists the entries of a source of any type."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from agent.domain.checkout import Checkout, Identity
from agent.runtime import Runtime
from agent.system.concurrency import run_to_completion
from agent.system.files import remove
from tasks.sources.command import list_command
from tasks.sources.folder import list_folder
from tasks.sources.http_cache import HttpCache
from tasks.sources.http_endpoint import HttpEndpoint
from tasks.sources.models import CommandSource, FolderSource, HttpSource, IssuesSource, ListSource, Source
from tasks.sources.secret_files import NamedSecrets


class ListingRun(Protocol):
    """What listing needs of the run that lists: a triage's context has it."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def secrets_dir(self) -> Path: ...


async def list_source(source: Source, workspace: str, ref: str | None, run: ListingRun) -> tuple[list[Any], list[str]]:
    """List the values of `source`, and notes about them for the report; raises SourceFailed or WorkspaceError."""
    secrets = NamedSecrets(run.secrets_dir)
    match source:
        case ListSource(items=items):
            return list(items), []
        case HttpSource():
            return await _list_endpoint(source, run.runtime, secrets)
        case IssuesSource():
            return await _list_endpoint(source.endpoint(), run.runtime, secrets)
        case FolderSource():
            async with _checkout(workspace, ref, run.runtime) as (checkout, notes):
                return await asyncio.to_thread(list_folder, source, checkout.path), notes
        case CommandSource():
            async with _checkout(workspace, ref, run.runtime) as (checkout, notes):
                return await list_command(source, run.runtime, checkout, secrets, checkout.path.parent.name), notes


async def _list_endpoint(source: HttpSource, runtime: Runtime, secrets: NamedSecrets) -> tuple[list[Any], list[str]]:
    endpoint = HttpEndpoint(source, secrets, HttpCache(runtime.settings.state_dir / "triage" / "pages"))
    return await endpoint.read(), endpoint.notes


@asynccontextmanager
async def _checkout(workspace: str, ref: str | None, runtime: Runtime) -> AsyncIterator[tuple[Checkout, list[str]]]:
    """Check the workspace out for this listing alone: a triage takes no slot."""
    place_id = f"triage-{uuid4().hex}"
    directory = runtime.settings.state_dir / "triage" / "checkouts" / place_id
    try:
        snapshot = await runtime.workspaces.sync(workspace, ref, allow_stale=True)
        path = await runtime.workspaces.checkout(directory, snapshot, Identity(run_id=place_id))
        notes = [f"the workspace is not up to date: {snapshot.stale_reason}"] if snapshot.stale else []
        yield Checkout(path=path, snapshot=snapshot, read_paths=tuple(runtime.workspaces.read_paths(snapshot))), notes
    finally:
        with contextlib.suppress(OSError):
            await run_to_completion(asyncio.to_thread(remove, directory))
