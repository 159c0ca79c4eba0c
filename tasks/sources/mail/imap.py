"""Lists the messages of an IMAP mailbox, without marking them as seen."""

from __future__ import annotations

import asyncio
import imaplib
import re
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.sources.base import Secret
from tasks.sources.errors import SourceFailed
from tasks.sources.mail.mailboxes import Message
from tasks.sources.mail.reader import MOST_BYTES
from tasks.sources.models import ImapSource
from tasks.sources.secret_files import NamedSecrets

_ALL_BYTES = 134_217_728
_UID = re.compile(rb"UID (\d+)")
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
_PAGE = 200


async def list_imap(source: ImapSource, secrets: NamedSecrets) -> list[Message]:
    """Return the newest messages of the mailbox. Raises SourceFailed."""
    password = secrets.read(Secret(secret=source.password))
    try:
        return await asyncio.to_thread(_list, source, password)
    except imaplib.IMAP4.error as error:
        said = str(error).replace(password, "[redacted]")
        raise SourceFailed(f"imap {source.host}: {said}") from None
    except (OSError, ssl.SSLError) as error:
        raise SourceFailed(f"imap {source.host}:{source.port}: {error}", retryable=True) from None


def _list(source: ImapSource, password: str) -> list[Message]:
    connect = imaplib.IMAP4_SSL if source.tls else imaplib.IMAP4
    server = connect(source.host, source.port, timeout=source.timeout_seconds)
    try:
        server.login(source.user, password)
        _ask(server.select(_quoted(source.mailbox), readonly=True), f"mailbox {source.mailbox!r}")
        validity = server.response("UIDVALIDITY")[1][0] or b"0"
        since = (datetime.now(UTC) - timedelta(days=source.days)).strftime("%d-%b-%Y")
        found = _ask(server.uid("search", f"SINCE {since}"), "search")
        uids = (found[0] or b"").split()[-source.max_messages :]
        name = f"imap://{source.user}@{source.host}/{source.mailbox};uidvalidity={validity.decode()}"
        return [Message(f"{name};uid={uid}", raw) for uid, raw in _fetch(server, [int(uid) for uid in uids])]
    finally:
        try:
            server.logout()
        except (imaplib.IMAP4.error, OSError):
            server.shutdown()


def _fetch(server: imaplib.IMAP4, uids: list[int]) -> list[tuple[int, bytes]]:
    """Return the messages; of those that are too large, the headers alone."""
    sizes: dict[int, int] = {}
    for start in range(0, len(uids), _PAGE):
        some = ",".join(str(uid) for uid in uids[start : start + _PAGE])
        for line in _ask(server.uid("fetch", some, "(UID RFC822.SIZE)"), "fetch"):
            text = line[0] if isinstance(line, tuple) else line
            found, size = _UID.search(text or b""), _SIZE.search(text or b"")
            if found and size:
                sizes[int(found[1])] = int(size[1])
    messages, room = [], _ALL_BYTES
    for uid in sorted(sizes, reverse=True):
        fits = sizes[uid] <= min(MOST_BYTES, room)
        part = "BODY.PEEK[]" if fits else "BODY.PEEK[HEADER]"
        room -= sizes[uid] if fits else 0
        answer = _ask(server.uid("fetch", str(uid), f"({part})"), "fetch")
        raw = next((one[1] for one in answer if isinstance(one, tuple)), None)
        if raw is not None:
            messages.append((uid, raw))
    return messages[::-1]


def _ask(answer: tuple[str, list[Any]], what: str) -> list[Any]:
    status, data = answer
    if status != "OK":
        raise SourceFailed(f"imap {what}: {data[0]!r}")
    return data


def _quoted(mailbox: str) -> str:
    escaped = mailbox.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
