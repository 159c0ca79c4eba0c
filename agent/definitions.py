"""Agent definitions: the files under `.claude/agents`, and which of them a caller means."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(".claude/agents")
_NAME = re.compile(r"^name:\s*[\"']?([^\"'\n#]+?)[\"']?\s*(?:#.*)?$", re.MULTILINE)
_HEAD_BYTES = 16_384


def agent_name(asked: str, checkout: Path) -> str:
    """The name that the CLI knows the agent by, for a caller who said its name or its path."""
    if "/" not in asked and not asked.endswith(".md"):
        return asked
    path = Path(asked if asked.endswith(".md") else f"{asked}.md")
    return _declared_name(checkout / path) or path.stem


def _declared_name(path: Path) -> str | None:
    """The `name:` of a definition's front matter, if the file is there and has one."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(_HEAD_BYTES)
    if not head.startswith("---"):
        return None
    match = _NAME.search(head.split("\n---", 1)[0])
    return match.group(1).strip() if match else None
