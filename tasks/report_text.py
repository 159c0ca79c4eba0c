"""Words of others on one line of a report."""

from __future__ import annotations


def inline_text(text: str) -> str:
    """Text on one line that is nothing but text in a Markdown table or between backticks."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
