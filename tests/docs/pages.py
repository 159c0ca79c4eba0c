"""What the README and the pages under docs/ tell people to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def shell_blocks(page: Path) -> list[str]:
    """The blocks of shell commands of a page, in their order."""
    return _BLOCK.findall(page.read_text())


def code_spans(page: Path) -> list[str]:
    """What stands as code within the sentences of a page."""
    return _SPAN.findall(_FENCED.sub("", page.read_text()))


def code(page: Path) -> list[str]:
    """All that a reader may take for something to type."""
    return [*shell_blocks(page), *code_spans(page)]
