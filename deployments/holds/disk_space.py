"""How much room is left where the service writes, and when that is too little to take work."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

MB = 1024 * 1024
AGAIN = 1.1
"""Work is taken again once there is a tenth more than the bound, so that a disk at the bound does not flutter."""

_FRESH_SECONDS = 1.0

_log = logging.getLogger(__name__)


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write there."""
    return shutil.disk_usage(directory).free


class DiskSpace:
    """The file system of a state directory; looked at when asked, once a second at most."""

    def __init__(self, directory: Path, min_free_mb: int, measure: Callable[[Path], int] = free_bytes) -> None:
        self._directory = directory
        self._measure = measure
        self.min_free_bytes = min_free_mb * MB
        self._free = 0
        self._looked_at = float("-inf")
        self._is_low = False

    @property
    def free(self) -> int:
        """Bytes that may still be written, as of a moment ago."""
        if time.monotonic() - self._looked_at >= _FRESH_SECONDS:
            self._look()
        return self._free

    @property
    def is_low(self) -> bool:
        """Whether no work is to be taken; the log has a line whenever that changes."""
        bound = self.min_free_bytes * (AGAIN if self._is_low else 1)
        is_low = self.free < bound
        if is_low != self._is_low:
            self._is_low = is_low
            tell = "only %d MB are free under %s: no work is taken until there are %d; see MIN_FREE_DISK_MB"
            again = "%d MB are free under %s, more than %d: work is taken again"
            _log.log(
                logging.ERROR if is_low else logging.WARNING,
                tell if is_low else again,
                self._free // MB,
                self._directory,
                int(self.min_free_bytes * AGAIN) // MB,
            )
        return self._is_low

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            self._free = self._measure(self._directory)
        except OSError as error:
            _log.warning("cannot see how much room is left under %s: %s", self._directory, error)
            self._free = max(self._free, self.min_free_bytes)
