"""Runs the benchmarks that are named, or all of them: `make bench`, `make bench ONLY=latency`.

Each runs in a process of its own, and BENCHMARKS.md is written anew after it. Exits with 1 when one is past its bound.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.registry import TITLES
from benchmarks.report.figures import Part
from benchmarks.report.machine import describe_machine
from benchmarks.report.results import ResultsDirectory, publish

UNKNOWN = 2


def main(asked: Sequence[str], place: ResultsDirectory | None = None) -> int:
    """Run those benchmarks one after the other; gives the exit status."""
    unknown = [name for name in asked if name not in TITLES]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(TITLES)}", file=sys.stderr)
        return UNKNOWN
    failed = [name for name in asked or TITLES if not run(name, place or ResultsDirectory())]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str, place: ResultsDirectory) -> bool:
    """Whether the benchmark ran, and kept to its bounds."""
    print(f"== {name}", flush=True)
    machine, began, started_at = describe_machine(), time.monotonic(), time.time()
    printed = []
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.cases.{name}"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            printed.append(line)
    kept = place.results / f"{name}.json"
    if printed and not (kept.exists() and kept.stat().st_mtime >= started_at):  # it has no figures, but words
        part = Part(
            name=name,
            title=TITLES[name],
            measured_at=datetime.now(UTC),
            seconds=time.monotonic() - began,
            machine=machine,
            printed="".join(printed),
            is_held=process.returncode == 0,
        )
        publish(part, place)
    return process.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
