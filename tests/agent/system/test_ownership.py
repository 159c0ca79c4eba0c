"""One process owns a state directory; another is refused, and reads which one owns it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.domain.errors import NotConfigured
from agent.system.ownership import HOST_LOCK, check_free, owning

OWN = """
import sys, time
from pathlib import Path
from agent.system.ownership import HOST_LOCK, owning
with owning(Path(sys.argv[1]) / HOST_LOCK, "end it"):
    print("owned", flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the directory."""
    command = [sys.executable, "-c", OWN, str(state_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield process
        process.kill()


def test_a_second_owner_is_refused_and_reads_whose_it_is_and_since_when(tmp_path: Path) -> None:
    with owner(tmp_path) as other:
        for attempt in (lambda: check_free(tmp_path / HOST_LOCK, "end it"), lambda: enter(tmp_path)):
            with pytest.raises(NotConfigured, match=rf"{tmp_path} is used by process {other.pid} since 20.*; end it"):
                attempt()


def test_one_that_was_killed_owns_nothing(tmp_path: Path) -> None:
    with owner(tmp_path) as other:
        other.kill()
        other.wait()
        enter(tmp_path)


def test_it_is_free_after_its_owner_and_before_the_first(tmp_path: Path) -> None:
    check_free(tmp_path / HOST_LOCK, "end it")
    enter(tmp_path)
    enter(tmp_path)
    check_free(tmp_path / HOST_LOCK, "end it")


def test_an_owner_whose_parent_is_gone_is_waited_for(tmp_path: Path) -> None:
    parent = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {OWN.replace("sys.stdin.read()", "time.sleep(1)")!r}, sys.argv[1]],
                         stdout=subprocess.PIPE)
child.stdout.readline()
"""
    subprocess.run([sys.executable, "-c", parent, str(tmp_path)], check=True)
    enter(tmp_path)


def enter(state_dir: Path) -> None:
    with owning(state_dir / HOST_LOCK, "end it"):
        pass
