"""The calls under way: where a caller who comes back finds the run that was started for it."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from api.call import Call, Caller, Source
from api.errors import ApiError
from api.request_identity import RequestIdentity


class Calls:
    """Finds the call that a request belongs to, or begins one."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._keyed: dict[tuple[str, str], tuple[str, Call]] = {}
        self._counted: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)

    def join(self, identity: RequestIdentity, source: Source) -> Caller:
        """Wait for the call of this request; a new one runs `source`. Raises ApiError for a key of another request."""
        call = self._find(identity) or self._begin(identity, source)
        keyed = identity.key is not None
        may_return = keyed or identity.retry_count is not None
        return Caller(call, may_return=may_return, only_before_answer=not keyed)

    def _find(self, identity: RequestIdentity) -> Call | None:
        if identity.key is not None:
            meaning, call = self._keyed.get((identity.scope, identity.key), (identity.meaning, None))
            if meaning != identity.meaning:
                raise key_reused()
            return call
        if not identity.retry_count:
            return None
        # one who is still served is somebody else who happens to say the same
        attempts = self._counted.get((identity.scope, identity.bytes), [])
        return next((call for call in attempts if call.is_deserted), None)

    def _begin(self, identity: RequestIdentity, source: Source) -> Call:
        call = Call(source, self._grace_seconds, partial(self._forget, identity))
        if identity.key is not None:
            self._keyed[identity.scope, identity.key] = (identity.meaning, call)
        elif identity.retry_count is not None:
            self._counted[identity.scope, identity.bytes].append(call)
        return call

    def _forget(self, identity: RequestIdentity, call: Call) -> None:
        """Whoever asks now is told by the store, or has a new run; forgetting twice is no harm."""
        if identity.key is not None:
            _, known = self._keyed.get((identity.scope, identity.key), ("", None))
            if known is call:
                del self._keyed[identity.scope, identity.key]
        elif call in (attempts := self._counted.get((identity.scope, identity.bytes), [])):
            attempts.remove(call)
            if not attempts:
                del self._counted[identity.scope, identity.bytes]


def key_reused() -> ApiError:
    """A key stands for one request, and this is another one."""
    message = "Idempotency-Key was used for another request; use a new key for each"
    return ApiError(400, message, param="Idempotency-Key", code="idempotency_key_reused")
