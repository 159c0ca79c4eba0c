"""Run in a mount namespace of its own: a run on a disk that is full, then on one that has space again."""

import asyncio
import subprocess
import sys
from pathlib import Path

from repositories import Host

from agent.domain.errors import WorkspaceError


async def main(state: Path, remote: Path) -> None:
    host = Host(state, remote)
    await host.ready()
    filler = state / "filler"
    fill(filler)
    try:
        await host.ready("run-2")
    except WorkspaceError as error:
        print(error)
    else:
        raise AssertionError("the disk was not full")
    filler.unlink()
    checkout, _ = await host.ready("run-3")
    assert (checkout / "README").read_text() == "hello\n"


def fill(filler: Path) -> None:
    try:
        with filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * 4096) == 4096:
                continue
    except OSError:
        return


place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)], check=True)
asyncio.run(main(place, Path(sys.argv[2])))
