"""Control groups as the kernel has them here, of either version; version 2 without controllers where 1 holds those."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.cgroups import Cgroup, find_cgroups, in_cgroup
from agent.sandbox.resource_limits import ResourceLimits

# A child in a session of its own, which no process group holds.
CROWD = ["/bin/bash", "-c", "setsid sleep 100 & echo started; sleep 100"]


def version_2() -> Cgroup:
    """A group below our own in the unified hierarchy."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [Path(at) for _, at, kind, *_ in mounts if kind == "cgroup2"]
    memberships = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[len("0::/") :] for line in memberships if line.startswith("0::")), None)
    if not roots or own is None:
        pytest.skip("needs a mounted cgroup2")
    directory = roots[0] / own / f"agent-run-test-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"needs a cgroup2 of its own: {error}")
    return Cgroup(directories=(directory,))


def found() -> Cgroup:
    """A group as a run has it."""
    groups = find_cgroups()
    if groups.version is None:
        pytest.skip(groups.reason)
    return groups.make(f"test-{os.getpid()}", ResourceLimits(memory_mb=512, processes=64))


@pytest.fixture(params=[version_2, found])
def group(request: pytest.FixtureRequest) -> Iterator[Cgroup]:
    group: Cgroup = request.param()
    yield group
    group.remove()


@contextlib.contextmanager
def crowd(group: Cgroup) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(in_cgroup(CROWD, group), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def members(group: Cgroup) -> list[set[int]]:
    return [set(map(int, (path / "cgroup.procs").read_text().split())) for path in group.directories]


def test_a_process_starts_in_its_group_and_all_that_it_starts_does(group: Cgroup) -> None:
    with crowd(group) as process:
        assert all(process.pid in pids and len(pids) >= 2 for pids in members(group))
        group.remove()


def test_a_group_dies_as_a_whole_and_is_taken_away(group: Cgroup) -> None:
    with crowd(group) as process:
        assert group.remove()
        assert process.wait(10) == -signal.SIGKILL
    assert not any(directory.exists() for directory in group.directories)
    assert group.remove(), "and to take it away again is no error"


def test_a_group_that_is_gone_lets_nothing_start(group: Cgroup) -> None:
    assert group.remove()
    done = subprocess.run(in_cgroup(["/bin/echo", "started"], group), capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode != 0
