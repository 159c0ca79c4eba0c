"""A reused slot made ready after an upstream commit, against a fresh local clone of the same repository.

`python -m benchmarks.cases.workspaces` prints a table over four sizes and three numbers of changed files, and exits
with 1 when the slot takes more than a tenth of the clone at 50,000 files and one changed file, or when what is
fetched and written follows the size of the repository instead of the change.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.domain.checkout import Identity
from agent.settings import AgentSettings
from agent.system.files import remove
from agent.workspaces.workspaces import Workspaces
from benchmarks.registry import TITLES
from benchmarks.report.figures import Curve, Line, Point
from benchmarks.report.results import Findings, publish

SIZES = (100, 1_000, 10_000, 50_000)
CHANGES = (1, 20, 400)
ROUNDS = 3
BOUND = 0.1
# What a changed file may cost on the wire, with the trees on the way to it, whatever the size of the repository.
TRANSFER_BYTES_A_FILE = 2048
TRANSFER_BYTES_A_COMMIT = 16_384
FILES_A_DIRECTORY = 16
TEXT = f"""\
A slot that has been used before is brought to a new upstream commit that changes one file, beside a fresh clone from
the same disk, medians of {ROUNDS} rounds."""
EXPLANATION = (
    "A slot writes only the files that changed; what grows with the repository is one look over its tree and an index "
    "written whole, which is a small share of a clone, that writes every file, past some hundreds of them; of a "
    "hundred a clone is sooner."
)
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@localhost",
}


@dataclass(frozen=True)
class Measure:
    """One size and one number of changed files; medians of the seconds."""

    files: int
    changed: int
    sync_seconds: float
    prepare_seconds: float
    clone_seconds: float
    fetched_bytes: int
    written_files: int
    written_bytes: int
    index_bytes: int

    @property
    def ratio(self) -> float:
        """What the slot takes of the time of a clone."""
        return (self.sync_seconds + self.prepare_seconds) / self.clone_seconds


def main() -> int:
    """Measure, print, and judge; gives the exit status."""
    sizes = tuple(int(size) for size in os.environ.get("SIZES", "").split()) or SIZES
    print(f"medians of {ROUNDS} rounds on {os.cpu_count()} cores; a round: commit upstream, make the slot ready, and,")
    print("in a size's first row, clone\n")
    print(f"{'files':>7}{'changed':>9}{'fetch s':>9}{'ready s':>9}{'clone s':>9}{'ratio':>7}", end="")
    print(f"{'fetched':>10}{'written':>9}{'bytes':>10}{'index':>10}")
    measures: list[Measure] = []
    found = Findings()
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            asyncio.run(measure_size(Path(scratch), size, measures))
    complaints = judge(measures)
    print(f"\nbound: ratio at most {BOUND} at {max(sizes)} files and 1 changed; written files are the changed ones;")
    print(f"fetched bytes at most {TRANSFER_BYTES_A_COMMIT} and {TRANSFER_BYTES_A_FILE} for each changed file")
    print("index: git writes its index whole, twice (ours and the agent's); it is the record of the one look")
    print("\n".join(complaints) if complaints else "held")
    found.curves.append(curve(measures))
    part = found.part("workspaces", TITLES["workspaces"], TEXT)
    return publish(part.model_copy(update={"is_held": not complaints}))


def curve(measures: list[Measure]) -> Curve:
    """A slot that is made ready after one changed file, and a fresh clone, over all sizes."""
    ones = [one for one in measures if one.changed == 1]
    lines = {
        "a slot, fetched and made ready": [one.sync_seconds + one.prepare_seconds for one in ones],
        "a fresh local clone": [one.clone_seconds for one in ones],
    }
    return Curve(
        name="repositories",
        title="Repositories from 100 to 50,000 files",
        x_label="files in the repository",
        y_label="seconds, medians",
        lines=[
            Line(
                name=name, points=[Point(x=one.files, values=[value]) for one, value in zip(ones, values, strict=True)]
            )
            for name, values in lines.items()
        ],
        explanation=EXPLANATION,
    )


def line(measure: Measure) -> str:
    """One line of the table."""
    return (
        f"{measure.files:7}{measure.changed:9}{measure.sync_seconds:9.3f}{measure.prepare_seconds:9.3f}"
        f"{measure.clone_seconds:9.3f}{measure.ratio:7.3f}{measure.fetched_bytes:10}{measure.written_files:9}"
        f"{measure.written_bytes:10}{measure.index_bytes:10}"
    )


def judge(measures: list[Measure]) -> list[str]:
    """What is past its bound."""
    complaints = []
    largest = max(one.files for one in measures)
    for one in measures:
        where = f"{one.files} files, {one.changed} changed"
        if (one.files, one.changed) == (largest, 1) and one.ratio > BOUND:
            complaints.append(f"NOT HELD: {where}: ratio {one.ratio:.3f}")
        if one.written_files != one.changed:
            complaints.append(f"NOT HELD: {where}: {one.written_files} files written")
        if one.fetched_bytes > TRANSFER_BYTES_A_COMMIT + TRANSFER_BYTES_A_FILE * one.changed:
            complaints.append(f"NOT HELD: {where}: {one.fetched_bytes} bytes fetched")
    return complaints


async def measure_size(scratch: Path, size: int, measures: list[Measure]) -> None:
    """All numbers of changed files at one size, in the same slot, each printed as it is known."""
    remote = scratch / "remote.git"
    generate(remote, size)
    workspaces = Workspaces(AgentSettings(state_dir=scratch / "state", workspace_dir=str(remote)))
    slot = scratch / "state" / "slots" / "0"
    await one_run(workspaces, slot)
    # files as old as in any slot that has waited for a while: git looks twice at those of the last second
    await asyncio.sleep(1.1)
    await one_run(workspaces, slot)
    clone_seconds = None
    for changed in (number for number in CHANGES if number <= size):
        measures.append(await measure_change(scratch, workspaces, slot, size, changed, clone_seconds))
        clone_seconds = measures[-1].clone_seconds
        print(line(measures[-1]), flush=True)


async def measure_change(
    scratch: Path, workspaces: Workspaces, slot: Path, size: int, changed: int, clone_seconds: float | None
) -> Measure:
    """The medians of some rounds with so many changed files; a clone takes what it took before, if that is known."""
    remote = scratch / "remote.git"
    syncs, prepares, clones = [], [], []
    fetched = written = written_bytes = 0
    for number in range(ROUNDS):
        change(remote, size, changed, seed=changed * 1000 + number)
        before, had = stamps(slot / "checkout"), object_bytes(scratch / "state" / "mirrors")
        sync_seconds, prepare_seconds = await one_run(workspaces, slot)
        after = stamps(slot / "checkout")
        syncs.append(sync_seconds)
        prepares.append(prepare_seconds)
        if clone_seconds is None:
            clones.append(clone(remote, scratch / "clone"))
        new = [path for path in after if before.get(path) != after[path]]
        fetched = object_bytes(scratch / "state" / "mirrors") - had
        written, written_bytes = len(new), sum(after[path][1] for path in new)
    return Measure(
        files=size,
        changed=changed,
        sync_seconds=statistics.median(syncs),
        prepare_seconds=statistics.median(prepares),
        clone_seconds=clone_seconds or statistics.median(clones),
        fetched_bytes=fetched,
        written_files=written,
        written_bytes=written_bytes,
        index_bytes=2 * (slot / "index").stat().st_size,
    )


async def one_run(workspaces: Workspaces, slot: Path) -> tuple[float, float]:
    """Seconds to fetch and to make ready; then the run is over, and collected."""
    began = time.perf_counter()
    snapshot = await workspaces.sync(fresh=True)
    synced = time.perf_counter()
    await workspaces.checkout(slot, snapshot, Identity(run_id="bench"))
    ready = time.perf_counter()
    await workspaces.collect(slot, snapshot, "bench")
    return synced - began, ready - synced


def clone(remote: Path, target: Path) -> float:
    """Seconds of a fresh local clone, which borrows objects by hard links."""
    began = time.perf_counter()
    git(target.parent, "clone", "--quiet", str(remote), str(target))
    seconds = time.perf_counter() - began
    remove(target)
    return seconds


def generate(remote: Path, size: int) -> None:
    """A repository of so many small files, a few to a directory, as source trees have them."""
    git(remote.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    fast_import(remote, range(size), "from nothing", parent=None)


def change(remote: Path, size: int, changed: int, seed: int) -> None:
    """One commit that changes so many files, anywhere."""
    numbers = random.Random(seed).sample(range(size), changed)
    fast_import(remote, numbers, f"seed {seed}", parent="refs/heads/main^0")


def fast_import(remote: Path, numbers: range | list[int], message: str, parent: str | None) -> None:
    stream = "".join(_commit(numbers, message, parent))
    git(remote, "fast-import", "--quiet", "--force", stdin=stream.encode())


def _commit(numbers: range | list[int], message: str, parent: str | None) -> Iterator[str]:
    yield f"commit refs/heads/main\ncommitter bench <bench@localhost> {int(time.time())} +0000\n"
    yield f"data {len(message)}\n{message}\n"
    if parent:
        yield f"from {parent}\n"
    for number in numbers:
        content = f"file {number}, {message}\n" * (5 + number % 60)
        directory = number // FILES_A_DIRECTORY
        path = f"area-{directory % 50}/part-{directory // 50 % 20}/piece-{directory // 1000}/file-{number}.txt"
        yield f"M 100644 inline {path}\ndata {len(content)}\n{content}\n"


def stamps(tree: Path) -> dict[str, tuple[int, int]]:
    """When each file outside of `.git` was last written, and its size."""
    return {path: (found.st_ctime_ns, found.st_size) for path, found in walk(tree, ".git")}


def object_bytes(mirrors: Path) -> int:
    """The size of all objects in the mirror."""
    return sum(found.st_size for path, found in walk(mirrors) if "/objects/" in path)


def walk(tree: Path, *without: str) -> Iterator[tuple[str, os.stat_result]]:
    for parent, directories, files in os.walk(tree):
        directories[:] = [name for name in directories if name not in without]
        for name in files:
            path = f"{parent}/{name}"
            yield path, os.lstat(path)


def git(directory: Path, *arguments: str, stdin: bytes = b"") -> None:
    subprocess.run(["git", *arguments], cwd=directory, input=stdin, env=ENVIRONMENT, check=True)


if __name__ == "__main__":
    sys.exit(main())
