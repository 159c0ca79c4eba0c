"""Source: files of a folder in a workspace."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.sources.errors import SourceFailed
from tasks.sources.models import FolderSource

MAIL = (".eml", ".mht", ".mhtml")
"""Ends of the names of files that are MIME messages."""

MAX_FILES = 10_000
MOST_BYTES = 67_108_864


def list_folder(source: FolderSource, workspace: Path) -> list[Any]:
    """List the folder's regular files by name, without symbolic links. Raises SourceFailed."""
    top = workspace.resolve()
    folder = top / source.path
    if not folder.is_dir() or not _is_inside(folder, top):
        raise SourceFailed(f"the workspace has no folder {source.path!r}")
    found = []
    for path in folder.glob(source.pattern):
        if _is_inside(path, top) and ".git" not in path.relative_to(top).parts:
            found.append(path)
        if len(found) > MAX_FILES:
            raise SourceFailed(f"{source.path!r} has more than {MAX_FILES:,} files; say with `pattern` which ones")
    described = (_describe(path, top, source.max_text_bytes) for path in sorted(found))
    return [file for file in described if file is not None]


def _is_inside(path: Path, top: Path) -> bool:
    """True if the path contains no symbolic link and stays in `top`."""
    # an agent or a stranger may have written the workspace: a link could lead to a file of the host
    return path.resolve() == path and path.is_relative_to(top)


def _describe(path: Path, top: Path, text_bytes: int) -> dict[str, Any] | None:
    content = read_regular(path)
    if content is None:
        return None
    return {
        "path": str(path.relative_to(top)),
        "name": path.name,
        "size": len(content),
        "sha256": sha256(content).hexdigest(),
        "text": content[:text_bytes].decode("utf-8", "replace"),
        "cut": len(content) > text_bytes,
    }


def read_regular(path: Path) -> bytes | None:
    """Read a regular file; None for anything else. Does not block on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MOST_BYTES)
    finally:
        os.close(descriptor)
