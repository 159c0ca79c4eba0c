"""`python -m benchmarks.chaos --runs 200 --faults 60 --seed 7`: jobs, while the service is hurt.

Parts are killed, Prefect answers with errors and pages of others, websockets are refused, leases are lost, runs are
deleted, the disk is full, a second host starts on the state directory.

Prints what was struck, how the jobs ended, and how long it took until the runs of a killed host had an end, counted
from the moment the host and Prefect were both back. Exits with 1 when an invariant does not hold, or recovery took too
long.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.arena import open_arena
from benchmarks.chaos.chaos import Chaos
from benchmarks.chaos.invariants import agents_alive
from demo.offline_model.model import OfflineModel

SETTINGS = {"AGENT_CAPACITY": "3", "LOST_AFTER_SECONDS": "90"}


def main() -> int:
    """Run it, print, and judge; gives the exit status."""
    options = _options()
    print(f"seed {options.seed}: {options.runs} jobs, {options.faults} faults", flush=True)
    with tempfile.TemporaryDirectory() as scratch, OfflineModel() as model:
        with open_arena(Path(scratch), model.url, SETTINGS, with_proxy=True) as arena:
            chaos = Chaos(arena, model, options.runs, options.faults, options.seed, options.longest)
            found = asyncio.run(chaos.run())
        found += [f"alive after the service has ended: {line}" for line in agents_alive(arena.stage)]
    for line in found:
        print(f"BROKEN: {line}")
    print("every invariant holds" if not found else f"{len(found)} breaks; the same again: SEED={options.seed}")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many jobs")
    parser.add_argument("--faults", "--kills", type=int, default=60, help="how many faults")
    parser.add_argument("--longest", type=float, default=60, help="seconds that one in ten of the outages may last")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of everything that is random")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
