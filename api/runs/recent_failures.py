"""Remembers runs that failed a moment ago, for callers who send the same request again.

Many clients repeat a 503 whatever its headers say; each attempt would be another paid run.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from uuid import UUID

from agent.domain.result import Outcome
from api.runs.request_identity import RequestIdentity
from api.runs.transcript import RunTranscript

MAX_FAILURES = 1000
"""A failure takes a few hundred bytes."""


class RecentFailures:
    """The failed runs of the last `seconds` of this host, by caller and bytes; one per application."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._failures: OrderedDict[tuple[str, str], tuple[float, UUID, Outcome]] = OrderedDict()

    def add(self, identity: RequestIdentity, run_id: UUID, outcome: Outcome) -> None:
        """Remember the failure of a run whose agent ran; another failure cost nothing, and may be tried again."""
        if identity.key is not None or outcome.result is None or outcome.error is None:
            return
        # without what the agent said: it was an answer of that time only
        kept = outcome.result.model_copy(update={"output": [], "stderr": "", "text": None, "structured": None})
        failure = (time.monotonic(), run_id, Outcome(result=kept, error=outcome.error))
        self._failures[identity.scope, identity.bytes] = failure
        self._failures.move_to_end((identity.scope, identity.bytes))
        while len(self._failures) > MAX_FAILURES:
            self._failures.popitem(last=False)

    def find(self, identity: RequestIdentity) -> RunTranscript | None:
        """Return the end of the run that failed for the same request; None if there is none."""
        if identity.key is not None:
            return None
        failed_at, run_id, outcome = self._failures.get((identity.scope, identity.bytes), (0.0, None, None))
        if run_id is None or outcome is None or time.monotonic() - failed_at >= self._seconds:
            return None
        transcript = RunTranscript(is_repeated=True)
        transcript.start(run_id)
        transcript.finish(outcome)
        return transcript
