import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from agent.sandbox.process_sweep import (
    COOKIE,
    _find,
    become_subreaper,
    kill_leftover_processes,
    kill_run_processes,
    with_marker,
)
from agent.system.procfs import find_process, list_processes


def find_by_cookie(cookie: str) -> list[int]:
    """All living processes of the run, and what came of them."""
    return sorted(_find(cookie, prefix=False))


SLEEPER = "import time; time.sleep(300)"

# Double-forked, in a session of its own, deaf to SIGTERM, and still holding stdout.
HIDDEN = """
import os, signal, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print(os.getpid(), flush=True)
signal.pause()
"""
# A chain: one process at a time, each in a new session, each gone before anybody can look twice. It ends by itself,
# much later than it is to be ended, so that one that was not outrun does not eat the machine for good.
CHAIN = """
import os, sys, time
print("go", flush=True)
os.close(1)
end = time.monotonic() + 120
while time.monotonic() < end:
    if os.fork(): os._exit(0)
    os.setsid()
"""
# A tree: every process keeps forking.
TREE = """
import os, time
print("go", flush=True)
for _ in range(6): os.fork()
os.setsid() if os.getpid() != os.getpgrp() else None
time.sleep(300)
"""
FORGETFUL = """
import os, sys
print("go", flush=True)
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(300)"], {})
"""


@pytest.fixture
def cookie() -> Iterator[str]:
    cookie = f"test:{uuid.uuid4()}"
    assert become_subreaper()
    yield cookie
    asyncio.run(kill_run_processes(cookie))


def start(cookie: str, program: str) -> subprocess.Popen[str]:
    argv = with_marker(cookie, [sys.executable, "-c", program])
    return subprocess.Popen(
        argv,
        env={COOKIE: cookie, "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def say(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with process.stdout:
        return process.stdout.readline()


def until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def children() -> set[int]:
    return {process.pid for process in list_processes().values() if process.parent == os.getpid()}


def is_alive(pid: int) -> bool:
    process = find_process(pid)
    return process is not None and not process.is_zombie


async def test_a_hidden_grandchild_is_found_and_killed(cookie: str) -> None:
    process = start(cookie, HIDDEN)
    pid = int(say(process))
    process.wait(timeout=10)
    assert pid in find_by_cookie(cookie)
    assert await kill_run_processes(cookie) == []
    assert not is_alive(pid)
    assert find_process(pid) is None, "the orphan that came to us was not buried"


@pytest.mark.parametrize("program", [CHAIN, TREE], ids=["chain", "tree"])
async def test_children_that_keep_forking_are_outrun(cookie: str, program: str) -> None:
    before = children()
    process = start(cookie, program)
    assert say(process) == "go\n"
    assert await kill_run_processes(cookie, 60, managed=[process.pid]) == []
    process.wait(timeout=10)
    assert find_by_cookie(cookie) == []
    assert children() <= before


async def test_a_process_that_cleared_its_environment_is_known_by_its_mark(cookie: str) -> None:
    process = start(cookie, FORGETFUL)
    say(process)
    process.wait(timeout=10)
    until(lambda: len(find_by_cookie(cookie)) == 1, "the forgetful process is marked")
    assert await kill_run_processes(cookie) == []


async def test_children_that_asyncio_waits_for_keep_their_exit_status(cookie: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SLEEPER, env={COOKIE: cookie}, start_new_session=True
    )
    assert await kill_run_processes(cookie, managed=[process.pid]) == []
    assert await asyncio.wait_for(process.wait(), 10) == -9


async def test_other_runs_live_on(cookie: str) -> None:
    other = f"{cookie}-other"
    process = start(other, SLEEPER)
    until(lambda: process.pid in find_by_cookie(other), "the other run is up")
    assert await kill_run_processes(cookie) == []
    assert process.poll() is None
    assert await kill_leftover_processes(cookie) == []
    process.wait(timeout=10)
    say(process)


async def test_neither_this_process_nor_its_ancestors_are_swept(cookie: str) -> None:
    program = """
import asyncio, os
from agent.sandbox.process_sweep import COOKIE, kill_run_processes
print(asyncio.run(kill_run_processes(os.environ[COOKIE])), flush=True)
"""
    process = start(cookie, program)
    assert say(process) == "[]\n"
    assert process.wait(timeout=10) == 0
