"""One item of a triage: its prompt as an agent would get it, and a replay that leaves no trace in what is handled."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from pydantic import ValidationError

from agent.domain.errors import RequestRefused
from agent.domain.request import AgentRequest
from agent.system.concurrency import run_to_completion
from agent.system.files import remove
from deployments.host.host import Host
from deployments.host.job_queue import JobOptions
from deployments.host.run_metadata import triage_tags
from deployments.triage.on_demand import find_triage, triage_request
from tasks.items.files import has_files, store_files
from tasks.items.items import Item
from tasks.items.prompt import PromptFailed
from tasks.sources.listing import list_source, read_item_details
from tasks.sources.strict import describe_mistake
from tasks.triage.list_items import make_listing
from tasks.triage.models import TriageRequest, agent_request

REPLAY = "replay"
"""The tag of runs that judge an item again for comparison."""


class NoSuchItem(Exception):
    """The source has no item of that key now, or several whose keys end so."""


@dataclass(frozen=True)
class ItemRequest:
    """An item as the source has it now, and the request of the run that would judge it."""

    triage: TriageRequest
    item: Item
    request: AgentRequest


async def read_item(host: Host, name: str, key: str, prompt: str | None = None) -> ItemRequest:
    """Return the request for one item, by its key or the end of it; `prompt` replaces the register's.

    Raises NoSuchTriage, NoSuchItem, RequestRefused, SourceFailed, WorkspaceError or PrefectUnavailable.
    """
    async with _read(host, name, key, prompt) as found:
        return found


async def replay_item(host: Host, name: str, key: str, prompt: str | None, tags: Sequence[str]) -> UUID:
    """Queue a run for one item. What is known of the item, and what was handled, stay as they are.

    Raises NoSuchTriage, NoSuchItem, RequestRefused, SourceFailed, StoreUnavailable or PrefectUnavailable.
    """
    async with _read(host, name, key, prompt) as found:
        options = JobOptions(tags=[*tags, REPLAY, *triage_tags(found.triage.name)], title=found.item.title)
        return await host.queue.submit(found.request, options)


@asynccontextmanager
async def _read(host: Host, name: str, key: str, prompt: str | None) -> AsyncIterator[ItemRequest]:
    triage = _with_prompt(triage_request(await find_triage(host, name)), prompt)
    files = host.runtime.settings.state_dir / "triage" / "files" / str(uuid4())
    try:
        values, notes = await list_source(triage.source, triage.workspace, triage.ref, host, files)
        listing = await asyncio.to_thread(make_listing, values, triage, notes)
        item = _find(listing.items, key)
        item = item.with_details(await read_item_details(triage.source, item.value, host))
        has_sandbox = host.runtime.sandbox.probe.bubblewrap is not None
        try:
            request = agent_request(triage, item, f"item-{secrets.token_hex(6)}", has_sandbox=has_sandbox)
        except (PromptFailed, ValueError) as failure:
            raise RequestRefused(str(failure)) from None
        if has_files(item):
            files_id = await store_files(host.store, item.value, files)
            request = request.model_copy(update={"files_id": files_id})
        yield ItemRequest(triage, item, request)
    finally:
        await run_to_completion(asyncio.to_thread(remove, files))


def _with_prompt(triage: TriageRequest, prompt: str | None) -> TriageRequest:
    if prompt is None:
        return triage
    try:
        return TriageRequest.model_validate({**triage.model_dump(exclude_unset=True), "prompt": prompt})
    except ValidationError as error:
        raise RequestRefused(describe_mistake(error)) from None


def _find(items: Sequence[Item], key: str) -> Item:
    exact = next((item for item in items if item.key == key), None)
    if exact is not None:
        return exact
    ends = [item for item in items if item.key.endswith((f"/{key}", f"#{key}", f"-{key}"))]
    if len(ends) == 1:
        return ends[0]
    raise NoSuchItem(f"{len(ends)} items have a key that ends so" if ends else "the source has no item of that key now")
