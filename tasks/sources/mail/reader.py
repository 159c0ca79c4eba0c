"""Has messages parsed by a process with limits, and keeps their attachments until the triage ends."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.system.commands import Command, CommandFailed, TimeLimit
from agent.system.text import shorten
from tasks.sources.errors import SourceFailed

MOST_BYTES = 33_554_432
"""A message that is larger is an item without content: it is named, and not parsed."""

_BATCH_BYTES = 16_777_216
_ANSWER_BYTES = 268_435_456
_SECONDS = 180.0


async def read_messages(raws: Sequence[bytes], text_characters: int, files: Path | None) -> list[dict[str, Any]]:
    """Return the messages as values, in their order; attachments are put into `files` by their SHA-256.

    Raises SourceFailed if the parser fails.
    """
    values: list[dict[str, Any]] = []
    for batch in _batches(raws):
        values += await _parse(batch, text_characters, files)
    return values


def _batches(raws: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for raw in raws:
        if batch and sum(map(len, batch)) + len(raw) > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(raw if len(raw) <= MOST_BYTES else raw[:65_536])
    if batch:
        yield batch


async def _parse(batch: Sequence[bytes], text_characters: int, files: Path | None) -> list[dict[str, Any]]:
    # -P: the current directory is no place to import from
    argv = [sys.executable, "-P", "-m", "tasks.sources.mail.parser_process", str(text_characters)]
    frames = b"".join(len(raw).to_bytes(8, "big") + raw for raw in batch)
    parser = Command(argv, {"PYTHONPATH": str(Path(__file__).parents[3])}, Path("/"), TimeLimit(_SECONDS))
    try:
        printed = await parser.run(frames, limit=_ANSWER_BYTES)
    except CommandFailed as failure:
        if len(batch) > 1:
            # one message that the parser does not survive must not hide the others
            return [value for raw in batch for value in await _parse([raw], text_characters, files)]
        text = batch[0][:text_characters].decode("utf-8", "replace")
        reason = shorten(failure.stderr, 200, keep="end") or "it was ended"
        return [{"subject": "", "text": text, "cut": True, "attachments": [], "notes": [f"not parsed: {reason}"]}]
    except OSError as error:
        raise SourceFailed(f"the mail parser cannot be started: {error.strerror}") from None
    answers = [json.loads(line) for line in printed.splitlines()]
    for answer in answers:
        _keep(answer["contents"], files)
    return [answer["value"] for answer in answers]


def _keep(contents: dict[str, str], files: Path | None) -> None:
    if files is None:
        return
    for digest, content in contents.items():
        files.mkdir(mode=0o700, parents=True, exist_ok=True)
        (files / digest).write_bytes(base64.b64decode(content))
