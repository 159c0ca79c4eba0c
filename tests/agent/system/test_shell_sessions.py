"""Servers, builds and idle loops, told apart by what they do."""

from __future__ import annotations

from agent.system.shell_sessions import ShellUse, ShellWatch


def watched(*looks: tuple[float, int, float]) -> ShellWatch:
    watch = ShellWatch(root=0)
    for at, listening, cpu_seconds in looks:
        watch.add(at, ShellUse(listening, cpu_seconds))
    return watch


def test_commands_that_all_listen_at_two_looks_are_servers() -> None:
    assert watched((0, 2, 0), (1, 2, 0)).are_servers(2)
    assert not watched((0, 2, 0), (1, 2, 0)).are_servers(3), "one of them is a build"
    assert not watched((1, 1, 0)).are_servers(1), "a build may listen for a moment"


def test_a_build_is_busy_and_a_loop_that_waits_is_not() -> None:
    assert watched(*((at, 0, 0.5 * at) for at in range(6))).is_busy
    assert not watched(*((at, 0, 0.01 * at) for at in range(6))).is_busy
    assert not watched((0, 0, 0), (1, 0, 1)).is_busy, "one look says little"
    assert not watched().is_busy


def test_what_was_busy_long_ago_is_not_busy() -> None:
    assert not watched(*((at, 0, min(at, 10)) for at in range(30))).is_busy
