"""Memory and processors by control group: of version 1 and 2, in a container and under systemd."""

import os
from pathlib import Path

import psutil
import pytest

from agent.pool.slots import default_capacity
from agent.system.machine import Machine, count_memory_kills, read_machine

GB = 1024**3
MB = 1024**2


def tree(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


V2 = {
    "memory.max": GB,
    "memory.current": 700 * MB,
    "memory.stat": f"anon 1\ninactive_file {100 * MB}",
    "cpu.max": "50000 100000",
    "memory.events": "low 0\noom 3\noom_kill 2",
}
V1 = {
    "memory/memory.limit_in_bytes": GB,
    "memory/memory.usage_in_bytes": 700 * MB,
    "memory/memory.stat": f"inactive_file 5\ntotal_inactive_file {100 * MB}",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
    "cpu,cpuacct/cpu.cfs_quota_us": 50_000,
    "cpu,cpuacct/cpu.cfs_period_us": 100_000,
}
V1_LINES = "4:memory:{0}\n2:cpu,cpuacct:{0}\n1:name=systemd:{0}\n0::/\n"


@pytest.mark.parametrize(
    ("files", "membership"),
    [
        (V2, "0::/"),
        (V2, "0::/system.slice/docker-abc.scope"),  # the machine's path, which is not there in the container
        ({f"service.slice/agent/{name}": value for name, value in V2.items()}, "0::/service.slice/agent/agent-host"),
        (V1, V1_LINES.format("/")),
        (V1, V1_LINES.format("/docker/abc")),
    ],
)
def test_a_control_groups_limits_are_below_the_machines(
    tmp_path: Path, files: dict[str, object], membership: str
) -> None:
    root = tree(tmp_path / "cgroup", files)
    tree(tmp_path, {"self": membership})
    found = read_machine(root, tmp_path / "self")
    assert (found.memory_bytes, found.available_bytes, found.processors) == (GB, 424 * MB, 0.5)
    assert (found.memory_limited, found.processors_limited) == (True, True)
    assert count_memory_kills(root, tmp_path / "self") == 2


@pytest.mark.parametrize(
    ("files", "membership"),
    [
        ({"memory.max": "max", "cpu.max": "max 100000"}, "0::/"),
        ({"memory/memory.limit_in_bytes": 9_223_372_036_854_771_712, "cpu/cpu.cfs_quota_us": -1}, V1_LINES.format("/")),
        ({}, ""),
    ],
)
def test_without_a_limit_the_machine_counts(tmp_path: Path, files: dict[str, object], membership: str) -> None:
    root = tree(tmp_path / "cgroup", files)
    tree(tmp_path, {"self": membership})
    found = read_machine(root, tmp_path / "self")
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.processors == len(os.sched_getaffinity(0))
    assert not found.memory_limited


@pytest.mark.parametrize(
    ("memory_mb", "processors", "agents"),
    [(450, 8, 1), (200, 8, 1), (1300, 8, 3), (64_000, 0.5, 2), (64_000, 0.2, 1), (64_000, 2, 8), (64_000, 16, 10)],
)
def test_as_many_agents_as_memory_and_processors_carry(memory_mb: int, processors: float, agents: int) -> None:
    machine = Machine(memory_bytes=memory_mb * MB, available_bytes=memory_mb * MB, processors=processors)
    assert default_capacity(machine) == agents
