"""The service's own log: one line an event, on stderr."""

from __future__ import annotations

import logging
import sys

from agent.printable import printable
from deployments.run_log import quiet_runs

_QUIET = ("httpx", "httpcore", "websockets", "alembic", "aiosqlite")


def configure_logs(level: str = "info") -> None:
    """Write what the service logs as lines on stderr; what its libraries say only from warnings on."""
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )
    # for Prefect's handlers as well, which write the logs of runs
    logging.setLogRecordFactory(PrintableRecord)
    quiet_runs()
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class PrintableRecord(logging.LogRecord):
    """What strangers have written does nothing to a terminal, and begins no line that looks like one of ours."""

    def getMessage(self) -> str:
        """The message, its further lines set in."""
        return printable(super().getMessage()).replace("\n", "\n    ")
