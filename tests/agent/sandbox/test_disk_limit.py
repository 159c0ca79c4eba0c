"""What a run takes of the disk: counted, bounded, and given back."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from one_turn import start_turn

from agent.claude.result_message import read_result
from agent.domain.errors import AgentFailed
from agent.domain.request import AgentRequest
from agent.domain.result import WorkspaceReport
from agent.runtime import Runtime
from agent.sandbox.disk_limit import DiskMeter, FreeSpace, free_disk_space
from agent.sandbox.disk_usage import ENTRY_BYTES, disk_usage
from agent.sandbox.resource_limits import MB
from agent.settings import AgentSettings
from agent.system.files import remove

GB = 1024 * MB
RUN = "11111111-2222-3333-4444-555555555555"


def taken(path: Path) -> float:
    return disk_usage([path], -1)


def left(blocks: int, inodes: int = 1000 * GB) -> FreeSpace:
    return FreeSpace(blocks, inodes)


def test_files_count_by_the_blocks_they_take(tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(b"x" * MB)
    with (tmp_path / "hollow").open("wb") as file:
        file.truncate(GB)
    assert MB <= taken(tmp_path) < 2 * MB


def test_empty_files_count_too_and_two_names_of_a_file_once(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / str(number)).touch()
    assert taken(tmp_path) >= 1000 * ENTRY_BYTES
    (tmp_path / "one").write_bytes(b"x" * MB)
    before = taken(tmp_path)
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    assert taken(tmp_path) - before < MB


def test_a_file_is_found_however_deep_it_lies(tmp_path: Path) -> None:
    script = (
        "import os\nfor _ in range(300): os.mkdir('d' * 100); os.chdir('d' * 100)\n"
        "open('file', 'w').write('x' * 3000000)"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", script], cwd=tmp_path, check=True)
    assert taken(tmp_path) > 3_000_000
    remove(tmp_path / ("d" * 100))


def test_what_is_too_deep_to_be_looked_at_is_past_all_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.sandbox.disk_usage.LONGEST_PATH", 10)
    monkeypatch.setattr("agent.sandbox.disk_usage.DEEPEST", 3)
    tmp_path.joinpath(*["directory"] * 10).mkdir(parents=True)
    assert taken(tmp_path) == math.inf


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "large").write_bytes(b"x" * MB)
    (tmp_path / "inner" / "file").symlink_to(tmp_path / "large")
    (tmp_path / "inner" / "directory").symlink_to(tmp_path)
    assert taken(tmp_path / "inner") < MB


def test_a_directory_that_was_closed_is_looked_into_and_closed_again(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_bytes(b"x" * MB)
    closed.chmod(0)
    assert taken(tmp_path) > MB
    assert closed.stat().st_mode & 0o777 == 0
    closed.chmod(0o700)


def test_a_deleted_file_counts_as_long_as_it_is_open(tmp_path: Path) -> None:
    script = "exec 3> file; rm file; head -c 3000000 /dev/zero >&3; echo written; read line"
    with subprocess.Popen(
        ["/bin/bash", "-c", script], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert disk_usage([tmp_path], process.pid) > 3_000_000
        assert taken(tmp_path) < 3_000_000
        process.kill()


def test_nothing_is_counted_while_the_disk_stands_still() -> None:
    meter = DiskMeter(most=10 * GB, free=left(100 * GB), now=0)
    assert not meter.is_due(left(100 * GB), 4)
    assert meter.is_due(left(100 * GB), 5), "once, to know what was there"
    assert not meter.is_past(GB, left(100 * GB), 5, 0.1)
    assert not meter.is_due(left(97 * GB), 20), "4.5 GB more and it could be half-way to its bound"
    assert meter.is_due(left(95 * GB), 20)
    assert meter.is_due(left(100 * GB), 36), (
        "and again from time to time: another may have given back what this one took"
    )


def test_inodes_run_out_as_blocks_do() -> None:
    meter = DiskMeter(most=10 * GB, free=left(100 * GB, 50 * GB), now=0)
    assert meter.is_due(left(100 * GB, 44 * GB), 1)
    assert meter.is_due(left(94 * GB, 50 * GB), 1)
    assert not meter.is_due(left(96 * GB, 46 * GB), 1)


def test_counting_takes_a_small_part_of_the_time() -> None:
    meter = DiskMeter(most=10 * GB, free=left(100 * GB), now=0)
    assert not meter.is_past(9 * GB, left(91 * GB), 10, took=2)
    assert not meter.is_due(left(80 * GB), 19)
    assert meter.is_due(left(80 * GB), 20)


def test_past_its_bound_a_run_is_past_it() -> None:
    meter = DiskMeter(most=10 * GB, free=left(100 * GB), now=0)
    assert not meter.is_past(10 * GB, left(90 * GB), 1, 0)
    assert meter.is_past(10 * GB + 1, left(90 * GB), 2, 0)


def test_on_a_disk_that_is_nearly_full_a_run_may_add_little() -> None:
    meter = DiskMeter(most=100 * GB, free=left(2 * GB), now=0)
    assert not meter.is_past(5 * GB, left(2 * GB), 1, 0)
    assert meter.is_due(left(GB // 2), 2)
    assert meter.is_past(6 * GB, left(GB // 2), 2, 0)


def test_who_adds_nothing_to_a_full_disk_goes_on() -> None:
    meter = DiskMeter(most=100 * GB, free=left(GB // 2), now=0)
    assert not meter.is_due(left(GB // 2), 1)
    assert not meter.is_past(5 * GB, left(GB // 2), 5, 0)
    assert not meter.is_past(5 * GB, left(GB // 8), 10, 0)


def test_what_the_run_wrote_goes_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 4 * MB)
    time.sleep(0.05)  # the times of files are not finer than that
    began = time.time()
    (tmp_path / "small").write_bytes(b"x" * MB)
    for number in range(3):
        (tmp_path / f"large-{number}").write_bytes(b"x" * 3 * MB)
    notes = free_disk_space(tmp_path, began, 5 * MB)
    assert "its 2 largest files were removed" in notes[0]
    assert {"old", "small"} < {path.name for path in tmp_path.iterdir()}


def test_where_picking_out_files_does_not_help_all_goes(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    (checkout / ".git" / "filler").write_bytes(b"x" * 3 * MB)
    assert "nothing of its checkout is kept" in free_disk_space(checkout, 0, MB)[0]
    assert not checkout.exists()


@pytest.fixture
def settings(settings: AgentSettings) -> AgentSettings:
    return settings.model_copy(update={"agent_disk_mb": 64, "kept_work_max_bytes": 20 * MB})


# Others on this disk may give back as much as this takes, which hides it until its files are counted anyway.
FILL = """
echo a start > note
head -c 10000000 /dev/zero | tee /tmp/filler > ~/filler
for n in $(seq 20); do head -c 10000000 /dev/zero > filler-$n; sleep 0.2; done
for n in $(seq 300); do sleep 0.3; done
echo it was not ended
"""


@pytest.mark.anyio
async def test_an_agent_that_fills_the_disk_is_ended_and_the_disk_given_back(settings: AgentSettings) -> None:
    steps = [{"tool": "Bash", "input": {"command": FILL}}, {"text": "{tool_result}"}]
    request = AgentRequest(prompt=f"offline-model: {json.dumps(steps)}", agent="service-upgrade")
    runtime = Runtime(settings)
    await runtime.open()
    slot = await runtime.slots.acquire()
    checkout = await runtime.prepare(slot, request, RUN, allow_stale=False)
    async with start_turn(runtime, RUN, request, slot, checkout, lambda _: None) as turn:
        invocation = await turn.run(request.prompt)
    report = await runtime.collect(slot, checkout, RUN)
    assert invocation.ending == "disk", invocation
    with pytest.raises(AgentFailed, match="AGENT_DISK_MB"):
        read_result(request, invocation)
    assert taken(settings.state_dir) < 40 * MB
    assert_kept(report)
    await runtime.prepare(slot, request, "22222222-2222-3333-4444-555555555555", allow_stale=False)


def assert_kept(report: WorkspaceReport) -> None:
    assert "note" in report.files_changed
    assert any("largest files were removed" in note for note in report.notes)
