"""Waits until something is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psutil
import pytest


def pauses() -> Iterator[float]:
    """Seconds between two looks, ever longer: whoever looks all the time takes from what it waits for."""
    seconds = 0.01
    while True:
        yield seconds
        seconds = min(seconds * 1.3, 0.25)


async def until(claim: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Return once it is true."""
    try:
        async with asyncio.timeout(seconds):
            for pause in pauses():
                if claim():
                    return
                await asyncio.sleep(pause)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: a zombie only waits for whoever is to bury it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
