"""StoreError, StoreUnavailable, InputMissing.

StoreError
├── StoreUnavailable    the database did not answer or refused
└── InputMissing        no input of that id: never saved, deleted, or trimmed
"""

from __future__ import annotations


class StoreError(Exception):
    """An error of the store. `retryable`: the same call may succeed later; `remedy`: what the operator can do."""

    retryable = False
    remedy: str | None = None


class StoreUnavailable(StoreError):
    """The database did not answer or refused; no transaction was left half done."""

    def __init__(self, reason: str, remedy: str | None = None, *, retryable: bool = True) -> None:
        self.reason = reason
        self.remedy = remedy
        self.retryable = retryable
        super().__init__(f"{reason}; {remedy}" if remedy else reason)


class InputMissing(StoreError, LookupError):
    """No input of that id: never saved, deleted, or trimmed."""

    def __init__(self, input_id: str) -> None:
        self.input_id = input_id
        super().__init__(f"no input {input_id!r} in the store: deleted, or trimmed with age")
