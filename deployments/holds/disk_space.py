"""Stops taking work while disk space is low."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

MB = 1024 * 1024
RESUME_FACTOR = 1.1
"""Work is taken again at a tenth more than the limit, so that a disk at the limit does not flip between both."""

_FRESH_SECONDS = 1.0  # statvfs is cheap, but /health, /metrics and each claim of a run ask

_log = logging.getLogger(__name__)


def free_bytes(directory: Path) -> int:
    """Return how many bytes a user without privileges may still write there."""
    return shutil.disk_usage(directory).free


class DiskSpace:
    """The free space of a state directory's file system; one per host. Measured when read, once a second at most."""

    def __init__(self, directory: Path, min_free_mb: int, measure: Callable[[Path], int] = free_bytes) -> None:
        self._directory = directory
        self._measure = measure
        self.min_free_bytes = min_free_mb * MB
        self._free = 0
        self._measured_at = float("-inf")
        self._is_low = False

    @property
    def free(self) -> int:
        """Bytes that may still be written, at most a second old."""
        if time.monotonic() - self._measured_at >= _FRESH_SECONDS:
            self._measure_free()
        return self._free

    @property
    def is_low(self) -> bool:
        """True if no work is to be taken; each change of the answer is logged."""
        limit = self.min_free_bytes * (RESUME_FACTOR if self._is_low else 1)
        is_low = self.free < limit
        if is_low != self._is_low:
            self._is_low = is_low
            low = "only %d MB are free under %s: no work is taken until %d MB are; see MIN_FREE_DISK_MB"
            enough = "%d MB are free under %s, more than %d: work is taken again"
            _log.log(
                logging.ERROR if is_low else logging.WARNING,
                low if is_low else enough,
                self._free // MB,
                self._directory,
                int(self.min_free_bytes * RESUME_FACTOR) // MB,
            )
        return self._is_low

    def _measure_free(self) -> None:
        self._measured_at = time.monotonic()
        try:
            self._free = self._measure(self._directory)
        except OSError as error:
            _log.warning("cannot measure the free space under %s: %s", self._directory, error)
            # an unknown amount must not stop all work
            self._free = max(self._free, self.min_free_bytes)
