"""SourceFailed: the error of a source that could not be listed."""

from __future__ import annotations


class SourceFailed(Exception):
    """The source could not be listed, so that no item is handled. The message is one line for the operator."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        self.retryable = retryable
        super().__init__(message)
