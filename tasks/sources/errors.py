"""What goes wrong with a source of items."""

from __future__ import annotations


class SourceFailed(Exception):
    """The source did not list its items; nothing of it is handled. The message is one line for the operator."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        self.retryable = retryable
        super().__init__(message)
