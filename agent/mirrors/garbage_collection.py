"""Repacks a mirror and prunes objects that no ref, slot or kept run needs.

Git knows the mirror's refs. It does not know the commits that slots have checked out, and the commits that the
remote dropped lately or while there is kept work from before: temporary refs protect those while it prunes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from agent.git.git import Git
from agent.mirrors.mirror import Mirror
from agent.system.commands import TimeLimit

GRACE_DAYS = 14.0
EXPIRED = f"{GRACE_DAYS:g}.days.ago"
MANY_PACKS = 50
HELD = "refs/held/"


async def collect_garbage(
    mirror: Mirror, checked_out: Callable[[], set[str]], *, dropped: bool, kept_since: float | None
) -> bool:
    """Repack the mirror if that pays, while fetches wait. True if it was repacked.

    `kept_since`: when the oldest kept work was kept, which borrows what the remote had then.
    """
    limit = min(time.time(), kept_since or time.time()) - GRACE_DAYS * 86_400
    lost = await asyncio.to_thread(mirror.lost.since)
    matured = any(since < limit for since in lost.values())
    if not (dropped or matured or len(list((mirror.objects / "pack").glob("*.pack"))) > MANY_PACKS):
        return False
    async with mirror.locked():
        await mirror.forget_requested()
        await asyncio.to_thread(mirror.lost.forget, limit)
        git = mirror.git.with_time_limit(TimeLimit(mirror.limits.fetch_seconds))
        wanted = await asyncio.to_thread(lambda: {*mirror.lost.since(), *checked_out()})
        held = await _there(git, wanted)
        await _update_refs(git, (f"update {HELD}{sha} {sha}" for sha in held))
        try:
            await git.run("repack", "--quiet", "--cruft", "-d", "-l", f"--cruft-expiration={EXPIRED}")
            await git.run("prune", f"--expire={EXPIRED}")
            await git.run("pack-refs", "--all")
        finally:
            await _update_refs(git, (f"delete {HELD}{sha}" for sha in held))
    return True


async def _there(git: Git, commits: set[str]) -> list[str]:
    asked = "".join(f"{sha}\n" for sha in commits)
    answers = await git.run("cat-file", "--batch-check=%(objectname)", stdin=asked.encode())
    return sorted(line for line in answers.decode().splitlines() if not line.endswith("missing"))


async def _update_refs(git: Git, commands: Iterable[str]) -> None:
    await git.run("update-ref", "--stdin", stdin="".join(f"{command}\n" for command in commands).encode())
