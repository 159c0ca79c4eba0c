"""One event that waits to be written to a journal."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

EVENT_OVERHEAD_BYTES = 300  # memory of an event beside its body, measured


@dataclass(slots=True)
class Pending:
    """An event that waits to be written; with `dropped`, a gap that counts the events without room."""

    run_id: UUID
    type: str
    body: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    dropped: int = 0

    @property
    def size(self) -> int:
        """Approximate memory in bytes."""
        return EVENT_OVERHEAD_BYTES + sys.getsizeof(self.body)

    @property
    def text(self) -> str:
        """The body to write."""
        return json.dumps({"dropped": self.dropped}) if self.dropped else self.body
