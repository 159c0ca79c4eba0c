"""What can go wrong with the store.

StoreError
├── StoreUnavailable    the database did not take, or give, what it was asked
└── InputMissing        no input of that id: never saved, deleted, or trimmed
"""

from __future__ import annotations


class StoreError(Exception):
    """Anything the store reports; `retryable` says if the same call may succeed later by itself."""

    retryable = False


class StoreUnavailable(StoreError):
    """The database did not take, or give, what it was asked; nothing was half done."""

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        self.reason = reason
        self.retryable = retryable
        super().__init__(reason)


class InputMissing(StoreError, LookupError):
    """No input of that id: never saved, deleted, or trimmed."""

    def __init__(self, input_id: str) -> None:
        self.input_id = input_id
        super().__init__(f"no input {input_id!r} in the store: deleted, or trimmed with age")
