"""Cached pages and their validators (ETag, Last-Modified)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from agent.domain.values import Frozen

MOST_BYTES = 8_388_608
MOST_PAGES = 200


class CachedPage(Frozen):
    """One answer of a server: its body, its validators, and the address of the next page."""

    body: bytes
    next: str | None = None
    etag: str | None = None
    modified: str | None = None
    total: str | None = None
    has_links: bool = False

    def conditions(self) -> dict[str, str]:
        """Return the request headers that ask for the page only if it has changed."""
        conditions = {"if-none-match": self.etag, "if-modified-since": self.modified}
        return {name: value for name, value in conditions.items() if value is not None}


class HttpCache:
    """A directory of cached pages, shared by all triages of a host; it may be deleted at any time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, url: str, headers: Mapping[str, str]) -> CachedPage | None:
        """Return the last answer to the same request, None if there is none."""
        try:
            kept = json.loads(self._path(url, headers).read_text())
            return CachedPage(**{**kept, "body": kept["body"].encode("latin-1")})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
            return None

    def keep(self, url: str, headers: Mapping[str, str], page: CachedPage) -> None:
        """Store a page that has validators. Failures are ignored: the page is then fetched again."""
        if not page.conditions() or len(page.body) > MOST_BYTES:
            return
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = {**page.model_dump(), "body": page.body.decode("latin-1")}
            handle, name = tempfile.mkstemp(dir=self._directory)
            with os.fdopen(handle, "w") as file:
                json.dump(kept, file)
            Path(name).replace(self._path(url, headers))
            self._trim()

    def _path(self, url: str, headers: Mapping[str, str]) -> Path:
        asked = json.dumps([url, sorted(headers.items())])
        return self._directory / f"{sha256(asked.encode()).hexdigest()}.json"

    def _trim(self) -> None:
        pages = sorted(self._directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in pages[MOST_PAGES:]:
            path.unlink(missing_ok=True)
