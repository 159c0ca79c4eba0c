"""`python -m benchmarks.scale --jobs 200 --hosts 3`: several hosts on one Prefect, PostgreSQL and Redis.

All of it as processes on loopback, the real CLI on the offline model. Prints a table; exits with 1 when a job is lost
or doubled, a host has more than its share, or a host does not know in time what happens at another.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from benchmarks.scale.cluster import open_cluster
from benchmarks.scale.programs import NotStarted, missing_programs
from benchmarks.scale.scale import Scale
from demo.offline_model.model import OfflineModel


def main() -> int:
    """Run it, print, and judge; gives the exit status."""
    options = _options()
    if missing := missing_programs():
        print(f"not installed: {' '.join(missing)}", file=sys.stderr)
        return 1
    print(f"seed {options.seed}: {options.jobs} jobs twice, {options.hosts} hosts", flush=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="scale-") as scratch,
            OfflineModel() as model,
            open_cluster(options.directory or Path(scratch), model.url, options.hosts) as cluster,
        ):
            found = asyncio.run(Scale(cluster, model, options.jobs, options.seed).run())
    except NotStarted as error:
        print(error, file=sys.stderr)
        return 1
    for line in found:
        print(f"BROKEN: {line}")
    print("all of it holds" if not found else f"{len(found)} breaks")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="how many jobs, at each of two rounds")
    parser.add_argument("--hosts", type=int, default=3, help="how many hosts, two at least")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of everything that is random")
    parser.add_argument("--directory", type=Path, help="a new one, that is kept with every log in it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
