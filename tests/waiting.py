"""Waits until something is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil
import pytest


async def until(claim: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Return once it is true."""
    try:
        async with asyncio.timeout(seconds):
            while not claim():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: a zombie only waits for whoever is to bury it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
