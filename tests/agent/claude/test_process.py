import asyncio
import os
from pathlib import Path

import psutil
import pytest
from waiting import is_alive, until

from agent.claude.process import TAIL_BYTES, AgentProcess
from agent.domain.errors import SpawnFailed
from agent.system.concurrency import run_to_completion

pytestmark = pytest.mark.anyio

ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def start(script: str, directory: Path) -> AgentProcess:
    return await AgentProcess.start(["bash", "-c", script], ENVIRONMENT, directory)


async def test_a_line_of_many_megabytes_comes_whole(tmp_path: Path) -> None:
    process = await start("head -c 9000000 /dev/zero | tr '\\0' x; echo; echo short", tmp_path)
    lengths = [len(line) async for line in process.lines()]
    await process.end()
    assert lengths == [9_000_000, 5]


async def test_any_amount_of_stderr_blocks_nothing_and_its_end_is_kept(tmp_path: Path) -> None:
    process = await start("head -c 3000000 /dev/zero | tr '\\0' e >&2; echo the end >&2; echo done", tmp_path)
    assert [line async for line in process.lines()] == ["done"]
    assert await process.wait(5) == 0
    await process.end()
    assert process.stderr.endswith("the end\n")
    assert len(process.stderr) == TAIL_BYTES


async def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    process = await start("printf 'a\\xff\\xfeb\\n'; printf '\\xff' >&2", tmp_path)
    assert [line async for line in process.lines()] == ["a\ufffd\ufffdb"]
    await process.end()
    assert process.stderr == "\ufffd"


async def test_a_last_line_without_an_end_is_a_line(tmp_path: Path) -> None:
    process = await start("printf 'one\\ntwo'", tmp_path)
    assert [line async for line in process.lines()] == ["one", "two"]
    await process.end()


async def test_who_stops_listening_can_be_followed_by_another(tmp_path: Path) -> None:
    process = await start("echo one; echo two; echo three", tmp_path)
    async for line in process.lines():
        assert line == "one"
        break
    assert [line async for line in process.lines()] == ["two", "three"]
    await process.end()


async def test_ending_kills_the_whole_group_though_it_ignores_sigterm(tmp_path: Path) -> None:
    process = await start("trap '' TERM; (trap '' TERM; sleep 300) & echo $!; wait", tmp_path)
    async for line in process.lines():
        child = psutil.Process(int(line))
        break
    await process.end()
    assert process.exit_code == -9
    await until(lambda: not is_alive(child), "its child has ended", 5)


async def test_a_grandchild_that_holds_our_pipes_holds_up_nobody(tmp_path: Path) -> None:
    process = await start("setsid sh -c 'echo $$; exec sleep 600' &", tmp_path)
    async for line in process.lines():
        grandchild = int(line)
        break
    await process.end()
    assert is_alive(psutil.Process(grandchild))  # nobody has waited for it
    os.kill(grandchild, 9)


async def test_ending_survives_the_cancellation_of_whoever_asked(tmp_path: Path) -> None:
    process = await start("trap '' TERM; echo up; sleep 300", tmp_path)
    async for _ in process.lines():
        break
    ending = asyncio.create_task(process.end())
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert process.exit_code is not None


async def test_uninterrupted_work_gives_its_value_and_its_error() -> None:
    async def work(value: int) -> float:
        await asyncio.sleep(0)
        return 1 / value

    assert await run_to_completion(work(1)) == 1
    with pytest.raises(ZeroDivisionError):
        await run_to_completion(work(0))


@pytest.mark.parametrize("executable", [False, True])
async def test_a_program_that_cannot_be_started_says_which(tmp_path: Path, executable: bool) -> None:
    program = tmp_path / "claude"
    if executable:
        program.write_bytes(b"\x7fELF nonsense")
        program.chmod(0o700)
    with pytest.raises(SpawnFailed, match="claude"):
        await AgentProcess.start([str(program)], ENVIRONMENT, tmp_path)


async def test_a_message_to_a_process_that_is_gone_is_dropped(tmp_path: Path) -> None:
    process = await start("exec 0<&-; exit 0", tmp_path)
    await process.wait(5)
    await process.send({"type": "user"})
    await process.end()
    assert process.exit_code == 0
