"""Lists what a source has, whichever kind it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from agent.domain.checkout import Checkout, Identity
from agent.runtime import Runtime
from agent.system.concurrency import run_to_completion
from agent.system.files import remove
from tasks.sources.command import list_command
from tasks.sources.folder import list_folder
from tasks.sources.http_cache import HttpCache
from tasks.sources.http_endpoint import HttpEndpoint
from tasks.sources.models import CommandSource, FolderSource, HttpSource, IssuesSource, ListSource
from tasks.sources.secret_files import NamedSecrets
from tasks.triage.models import TriageRequest


async def list_values(request: TriageRequest, runtime: Runtime, secrets_dir: Path) -> tuple[list[Any], list[str]]:
    """What the source lists, and what a reader must know of it; raises SourceFailed or WorkspaceError."""
    secrets = NamedSecrets(secrets_dir)
    match request.source:
        case ListSource(items=items):
            return list(items), []
        case HttpSource() as source:
            return await _list_endpoint(source, runtime, secrets)
        case IssuesSource() as source:
            return await _list_endpoint(source.endpoint(), runtime, secrets)
        case FolderSource() as source:
            async with _checkout(request, runtime) as (checkout, notes):
                return await asyncio.to_thread(list_folder, source, checkout.path), notes
        case CommandSource() as source:
            async with _checkout(request, runtime) as (checkout, notes):
                return await list_command(source, runtime, checkout, secrets, checkout.path.parent.name), notes


async def _list_endpoint(source: HttpSource, runtime: Runtime, secrets: NamedSecrets) -> tuple[list[Any], list[str]]:
    endpoint = HttpEndpoint(source, secrets, HttpCache(runtime.settings.state_dir / "triage" / "pages"))
    return await endpoint.read(), endpoint.notes


@asynccontextmanager
async def _checkout(request: TriageRequest, runtime: Runtime) -> AsyncIterator[tuple[Checkout, list[str]]]:
    """A checkout of the workspace for this listing alone: a triage takes no slot."""
    place_id = f"triage-{uuid4().hex}"
    directory = runtime.settings.state_dir / "triage" / "checkouts" / place_id
    try:
        snapshot = await runtime.workspaces.sync(request.workspace, request.ref, allow_stale=True)
        path = await runtime.workspaces.prepare(directory, snapshot, Identity(run_id=place_id))
        notes = [f"the workspace is not up to date: {snapshot.stale_reason}"] if snapshot.stale else []
        yield Checkout(path=path, snapshot=snapshot, read_paths=tuple(runtime.workspaces.read_paths(snapshot))), notes
    finally:
        with contextlib.suppress(OSError):
            await run_to_completion(asyncio.to_thread(remove, directory))
