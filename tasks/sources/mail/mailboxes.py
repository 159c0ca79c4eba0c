"""Lists the messages of a folder, a Maildir or an mbox file in a workspace, without parsing them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tasks.sources.errors import SourceFailed
from tasks.sources.models import MailSource

MOST_BYTES = 268_435_456
"""An mbox file that is larger is refused; of several files, those past it together are left to the next triage."""

_FROM = re.compile(rb"^From [^\n]*\d{4}[^\n]*\r?\n", re.MULTILINE)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Message:
    """A message with what names it: no two of a source have the same id."""

    id: str
    raw: bytes


def list_mailbox(source: MailSource, workspace: Path) -> list[Message]:
    """Return the messages, the newest `max_messages` of a Maildir or a folder. Raises SourceFailed."""
    top = workspace.resolve()
    place = top / source.path
    if place.resolve() != place or not place.is_relative_to(top) or not place.exists():
        raise SourceFailed(f"the workspace has no mail at {source.path!r}")
    if place.is_file():
        return _distinct(_split_mbox(_read(place) or b""))[-source.max_messages :]
    if (place / "cur").is_dir() and (place / "new").is_dir():
        paths = [path for part in ("new", "cur") for path in (place / part).iterdir()]
        return _files(paths, source, lambda path: path.name.split(":2,")[0])
    return _files(list(place.glob("**/*.eml")), source, lambda path: str(path.relative_to(place)))


def _files(paths: list[Path], source: MailSource, name: Callable[[Path], str]) -> list[Message]:
    regular = [path for path in paths if path.resolve() == path and stat.S_ISREG(path.lstat().st_mode)]
    newest = sorted(regular, key=lambda path: path.lstat().st_mtime)[-source.max_messages :]
    found, room = [], MOST_BYTES
    for path in newest:
        raw = _read(path)
        if raw is not None and (room := room - len(raw)) >= 0:
            found.append(Message(name(path), raw))
    return found


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        if os.fstat(descriptor).st_size > MOST_BYTES:
            raise SourceFailed(f"{path.name!r} has more than {MOST_BYTES:,} bytes; split it")
        return file.read(MOST_BYTES)


def _split_mbox(content: bytes) -> Iterator[bytes]:
    """Yield the messages between the `From ` lines of an mbox, their quoted lines restored."""
    starts = list(_FROM.finditer(content))
    for found, after in zip(starts, [*starts[1:], None], strict=True):
        raw = content[found.end() : after.start() if after is not None else len(content)]
        yield _QUOTED_FROM.sub(rb"\1", raw)
    if content.strip() and not starts:
        raise SourceFailed("the mbox file has no line that begins with `From `")


def _distinct(raws: Iterator[bytes]) -> list[Message]:
    """Name each message by its content; a copy of one is no second item."""
    return list({digest: Message(digest, raw) for raw in raws if (digest := sha256(raw).hexdigest())}.values())
