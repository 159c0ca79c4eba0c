"""The refusal of a JSON Schema."""

from __future__ import annotations

from agent.system.text import shorten_cause


class SchemaRefused(ValueError):
    """No equivalent of the schema is accepted by the CLI and the provider; says where, which keyword, and why."""

    def __init__(self, keyword: str, reason: str, path: str = "") -> None:
        place = f" at {path}" if path else ""
        super().__init__(shorten_cause(f"keyword {keyword!r}{place}: {reason}"))
        self.keyword = keyword
        self.path = path
