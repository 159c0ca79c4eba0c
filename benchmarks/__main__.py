"""Runs the benchmarks that are named, or all of them: `make bench`, `make bench ONLY=workspaces`.

Each is a module here with a `main`, and runs in a process of its own. Exits with 1 when one is past its bound.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

NAMES = (
    "workspaces",
    "chat_burst",
    "job_start",
    "execute_burst",
    "streams",
    "cell_price",
    "provider_proxy",
    "embedded_server",
)
UNKNOWN = 2


def main(asked: Sequence[str]) -> int:
    """Run those benchmarks one after the other; gives the exit status."""
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return UNKNOWN
    failed = [name for name in asked or NAMES if not run(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str) -> bool:
    """Whether the benchmark ran, and kept to its bounds."""
    print(f"== {name}", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
