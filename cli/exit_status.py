"""Exit codes."""

from __future__ import annotations

FAILED = 1
REFUSED = 4
"""The service does not answer, or refuses the request."""

INTERRUPTED = 130

OF_JOB = {"completed": 0, "failed": FAILED, "error": 3, "timeout": 124}
"""By a job's status; 124 is the code of timeout(1), and 2 that of a wrong command line."""

EPILOG = (
    "Exit codes. 0: completed. 1: the agent failed. 2: wrong command line. 3: the job could not run, crashed, or was "
    "cancelled. 4: the service does not answer, or refuses. 124: time limit. 130: interrupted."
)
