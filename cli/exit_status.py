"""What the commands exit with."""

from __future__ import annotations

FAILED = 1
REFUSED = 4
"""The service is not there, or says no."""

INTERRUPTED = 130

OF_JOB = {"completed": 0, "failed": FAILED, "error": 3, "timeout": 124}
"""By a job's status; 124 is what timeout(1) exits with, and 2 is a command line that was not understood."""

EPILOG = (
    "Exits with 0: completed. 1: the agent ended badly. 2: this command line is not understood. 3: the job could not "
    "run, crashed, or was cancelled. 4: the service is not there, or refuses. 124: out of time. 130: interrupted."
)
