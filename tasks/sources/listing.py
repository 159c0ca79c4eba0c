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
from tasks.sources.base import HttpSource, Preset
from tasks.sources.command import list_command
from tasks.sources.details import read_details
from tasks.sources.folder import MAIL, list_folder, read_regular
from tasks.sources.http_endpoint import HttpEndpoint
from tasks.sources.mail.imap import list_imap
from tasks.sources.mail.mailboxes import Message, list_mailbox
from tasks.sources.mail.reader import read_messages
from tasks.sources.models import CommandSource, FolderSource, ImapSource, ListSource, MailSource, Source
from tasks.sources.pages.http_cache import HttpCache
from tasks.sources.secret_files import NamedSecrets


class ListingRun(Protocol):
    """What listing needs of the run that lists: a triage's context has it."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def secrets_dir(self) -> Path: ...


async def list_source(
    source: Source, workspace: str, ref: str | None, run: ListingRun, attachments: Path | None = None
) -> tuple[list[Any], list[str]]:
    """List the values of `source`, and notes about them for the report; attachments of mail go into that directory.

    Raises SourceFailed or WorkspaceError.
    """
    secrets = NamedSecrets(run.secrets_dir)
    match source:
        case ListSource(items=items):
            return list(items), []
        case HttpSource():
            return await _list_endpoint(source, run.runtime, secrets)
        case Preset():
            return await _list_endpoint(source.endpoint(), run.runtime, secrets)
        case FolderSource():
            async with _checkout(workspace, ref, run.runtime) as (checkout, notes):
                files = await asyncio.to_thread(list_folder, source, checkout.path)
                return await _with_mail(source, files, checkout.path, attachments), notes
        case MailSource():
            async with _checkout(workspace, ref, run.runtime) as (checkout, notes):
                found = await asyncio.to_thread(list_mailbox, source, checkout.path)
            return await _read_mail(found, source.max_text_characters, attachments), notes
        case ImapSource():
            found = await list_imap(source, secrets)
            return await _read_mail(found, source.max_text_characters, attachments), []
        case CommandSource():
            async with _checkout(workspace, ref, run.runtime) as (checkout, notes):
                return await list_command(source, run.runtime, checkout, secrets, checkout.path.parent.name), notes


async def read_item_details(source: Source, value: Any, run: ListingRun) -> dict[str, Any]:
    """Return what the source has beside a planned item, by name. Raises SourceFailed where a retry may help."""
    endpoint = source.endpoint() if isinstance(source, Preset) else source
    if not isinstance(endpoint, HttpSource) or not endpoint.details:
        return {}
    return await read_details(endpoint, value, NamedSecrets(run.secrets_dir), _cache(run.runtime))


async def _with_mail(source: FolderSource, files: list[Any], workspace: Path, attachments: Path | None) -> list[Any]:
    """Return the values of the files; messages among them are shown as text and not as MIME."""
    mails = [file for file in files if file["name"].lower().endswith(MAIL)]
    raws = await asyncio.to_thread(lambda: [read_regular(workspace / file["path"]) or b"" for file in mails])
    read = iter(await read_messages(raws, source.max_text_bytes, attachments))
    return [file | next(read) if file["name"].lower().endswith(MAIL) else file for file in files]


async def _read_mail(found: list[Message], characters: int, attachments: Path | None) -> list[Any]:
    values = await read_messages([message.raw for message in found], characters, attachments)
    return [{"id": message.id, **value} for message, value in zip(found, values, strict=True)]


async def _list_endpoint(source: HttpSource, runtime: Runtime, secrets: NamedSecrets) -> tuple[list[Any], list[str]]:
    endpoint = HttpEndpoint(source, secrets, _cache(runtime))
    return await endpoint.read(), endpoint.notes


def _cache(runtime: Runtime) -> HttpCache:
    return HttpCache(runtime.settings.state_dir / "triage" / "pages")


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
