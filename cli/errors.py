"""Errors of the terminal, each with a message for the operator: the command failed, or the service refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class TerminalError(Exception):
    """The command cannot do its work on this machine; the message says why, and what to type."""


class ServiceRefused(Exception):
    """The service does not answer, or refuses the request.

    `status_code` is the status of its answer, None if nothing answered.
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


@contextmanager
def reported(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds, and those of the operating system, into TerminalError with the same message."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (OSError, *kinds)):
            raise TerminalError(str(error)) from error
        raise
