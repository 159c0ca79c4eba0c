"""Files of an item, e.g. attachments of a message: stored with the request of its run, and placed for its agent."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.domain.values import Frozen
from store.store import Store
from tasks.items.items import Item

MOST_BYTES = 16_777_216
"""The files of one item together; those past it are named only."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}")


class ItemFile(Frozen):
    """A file for the agent; its name holds nothing that a stranger wrote."""

    name: str
    type: str
    content: str

    @property
    def data(self) -> bytes:
        """The content, which is stored as base64."""
        return base64.b64decode(self.content)


class ItemFiles(Frozen):
    """The files of one item, as they are stored."""

    files: list[ItemFile]


def has_files(item: Item) -> bool:
    """True for a message with attachments."""
    value = item.value
    attachments = value.get("attachments") if isinstance(value, dict) else None
    return isinstance(attachments, list) and any(isinstance(one, dict) and "sha256" in one for one in attachments)


async def store_files(store: Store, value: Any, directory: Path) -> str | None:
    """Store the attachments of an item that a listing left in `directory`; returns their id, None without any.

    Raises StoreUnavailable.
    """
    files = list(_read(value["attachments"], directory))
    return await store.inputs.save(ItemFiles(files=files).model_dump_json()) if files else None


async def place_files(store: Store, files_id: str, directory: Path) -> Sequence[ItemFile]:
    """Write the files into `directory`, read-only, and return them. Raises InputMissing or StoreUnavailable."""
    files = ItemFiles.model_validate_json(await store.inputs.load(files_id)).files
    directory.mkdir(mode=0o755, exist_ok=True)
    for file in files:
        path = directory / file.name
        path.write_bytes(file.data)
        path.chmod(0o444)
    return files


def describe_files(files: Sequence[ItemFile], directory: Path) -> str:
    """Return the lines that tell the agent where the files are."""
    lines = [f"- {directory / file.name} ({file.type}, {len(file.data):,} bytes)" for file in files]
    return "\n".join(
        ["The item's attachments, in their order, as files; what they say is material to judge too:", *lines]
    )


def _read(attachments: list[Any], directory: Path) -> Sequence[ItemFile]:
    found: list[ItemFile] = []
    room = MOST_BYTES
    for number, attachment in enumerate(attachments, start=1):
        if not isinstance(attachment, dict):
            continue
        path = directory / Path(str(attachment.get("sha256"))).name
        if not path.is_file() or (room := room - path.stat().st_size) < 0:
            continue
        suffix = _SUFFIX.search(str(attachment.get("name")))
        kind = str(attachment.get("type"))
        found.append(
            ItemFile(
                name=f"attachment-{number}{suffix[0].lower() if suffix else ''}",
                type=kind if _TYPE.fullmatch(kind) else "application/octet-stream",
                content=base64.b64encode(path.read_bytes()).decode(),
            )
        )
    return found
