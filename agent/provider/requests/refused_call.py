"""RefusedCall: a call of an agent that the proxy does not pass on."""

from __future__ import annotations


class RefusedCall(Exception):
    """The message says what is refused; `status` and `kind` are those of the provider's API for such an error."""

    def __init__(self, reason: str, *, status: int = 403, kind: str = "permission_error") -> None:
        self.status = status
        self.kind = "not_found_error" if status == 404 else kind
        super().__init__(reason)
