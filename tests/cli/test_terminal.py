"""The terminal against a whole running service: run, watch, jobs, cancel, completion, doctor."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from terminal import command

if TYPE_CHECKING:
    from conftest import Service

from cli.client.completion import complete_agent, complete_job, complete_running_job, complete_workspace
from cli.commands.jobs.interrupt import InterruptHandler, held_signals
from cli.display.job_view import View
from cli.doctor.checks import run_checks
from cli.doctor.context import read_world
from cli.doctor.finding import Finding

pytestmark = pytest.mark.anyio

AGENT = "recruiter-triage"
STEPS = [{"text": "I look.", "tool": "Bash", "input": {"command": "echo seen"}}, {"text": "# Done\n\nall of it"}]
LONG = [{"tool": "Bash", "input": {"command": "for i in $(seq 600); do sleep 0.1; done"}}, {"text": "never said"}]


@pytest.fixture
async def environment(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """This process, and those it starts, are terminals of the service's operator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_PORT", service.url.rsplit(":", 1)[1])
    monkeypatch.setenv("API_BEARER_TOKEN", service.token)
    return service


def prompt(steps: list[dict[str, Any]]) -> str:
    return f"offline-model: {json.dumps(steps)}"


async def terminal(*words: str, tty: bool = False) -> tuple[asyncio.subprocess.Process, int | None]:
    """The command in a process of its own; with `tty` all it prints is read from the second."""
    ours, theirs = pty.openpty() if tty else (None, None)
    where = theirs if theirs is not None else asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", *words),
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=where,
        stderr=where,
    )
    if theirs is not None:
        os.close(theirs)
    return process, ours


def read_all(descriptor: int) -> str:
    with io.FileIO(descriptor) as screen:
        said = b""
        while True:
            try:
                more = screen.read(65_536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            said += more
    return said.decode(errors="replace")


async def queued(service: Service, **members: Any) -> str:
    body = {"agent": AGENT, "prompt": prompt(STEPS), **members}
    return str((await service.client.post("/execute", json=body)).json()["job_id"])


@pytest.fixture
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers are the main thread's, and commands of these tests run in another."""
    monkeypatch.setattr("cli.commands.jobs.interrupt.signal.signal", lambda *_: signal.SIG_DFL)


@pytest.mark.usefixtures("no_signals")
async def test_the_answer_alone_is_on_stdout_and_steps_are_lines_on_stderr(
    environment: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command("run", AGENT, prompt(STEPS), "--tag", "terminal", "--metadata", "ticket=7=8") == 0
    out, err = capsys.readouterr()
    assert out == "# Done\n\nall of it\n"
    lines = err.splitlines()
    job_id = re.findall(r"^job (\S+) http", lines[0])[0]
    at = lines.index("I look.")
    assert lines[at + 1 : at + 3] == ["→ Bash echo seen", "← seen"]
    assert re.fullmatch(r"completed after \d:\d\d · 2 turns · \S+ tokens in, \d+ out · \$0\.\d+", lines[at + 3])
    job = (await environment.client.get(f"/jobs/{job_id}")).json()
    assert job["metadata"] == {"ticket": "7=8"}

    assert await command("show", job_id[:18]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^job: +{job_id}$", shown, re.MULTILINE)
    assert re.search(r"^status: +completed$", shown, re.MULTILINE)
    assert "all of it" in shown
    assert await command("diff", job_id[:18]) == 0
    assert capsys.readouterr() == ("", f"job {job_id} (completed) changed nothing in git\n")
    lines = []
    async with asyncio.timeout(60):  # Prefect's client sends the lines of a log a little later
        while not lines:
            assert await command("logs", job_id[:18], "--json") == 0
            lines = json.loads(capsys.readouterr().out)
    assert {"at", "level", "message"} == set(lines[0])

    assert await command("watch", job_id[:18], "--quiet") == 0
    assert capsys.readouterr() == ("# Done\n\nall of it\n", "")
    assert await command("jobs", "--tag", "terminal") == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.split("\t")[:3] == [job_id, "completed", AGENT]

    assert await command("rerun", job_id[:18], "--detach") == 0
    again = capsys.readouterr().out.strip()
    assert (await environment.client.get(f"/jobs/{again}")).json()["prompt"] == job["prompt"]


@pytest.mark.usefixtures("no_signals")
async def test_for_scripts_there_is_one_object_and_an_exit_status(
    environment: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("who is there?"))
    assert await command("run", AGENT, "-", "--json", "--quiet", "--model", "opus") == 0
    out, err = capsys.readouterr()
    job = json.loads(out)
    assert (job["status"], job["prompt"], err) == ("completed", "who is there?", "")
    assert await command("run", "nobody", "who is there?", "--quiet") == 4
    said = capsys.readouterr().err
    assert "has no agent 'nobody'; there are: " in said
    assert AGENT in said


async def test_ctrl_c_cancels_the_job_and_says_so(environment: Service) -> None:
    process, _ = await terminal("run", AGENT, prompt(LONG))
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(60):
        while "→ Bash" not in said:
            said += (await process.stderr.readline()).decode()
        process.send_signal(signal.SIGINT)
        out, rest = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert "asking the service to cancel the job" in rest.decode()
    assert "cancelled after" in rest.decode()
    job_id = re.findall(r"^job (\S+)", said, re.MULTILINE)[0]
    assert (await environment.client.get(f"/jobs/{job_id}")).json()["state"] == "Cancelled"


async def test_a_second_ctrl_c_leaves_without_waiting_for_the_end() -> None:
    class Notes:
        lines: list[str] = []
        note = tell = lines.append

    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={})

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        interrupted = InterruptHandler(client, "the-job")
        stays = [interrupted(cast("View", Notes)) for _ in range(2)]
    assert (stays, asked) == ([True, False], ["/jobs/the-job/cancel"])
    assert Notes.lines[-1] == "left; `agent-service watch the-job` follows the job"


async def test_a_service_that_is_away_for_a_moment_is_asked_again_to_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.client.retries._PAUSE_SECONDS", 0.01)
    answers = [httpx.ConnectError("away"), httpx.Response(200)]
    told: list[str] = []

    class Told:
        note = tell = told.append

    def answer(request: httpx.Request) -> httpx.Response:
        match answers.pop(0):
            case httpx.Response() as response:
                return response
            case error:
                raise error

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        assert InterruptHandler(client, "the-job")(cast("View", Told))
    assert answers == []
    assert told[1:] == ["cannot be cancelled yet: no answer (ConnectError); trying again", "is being cancelled"]


def test_an_interruption_waits_for_the_jobs_id() -> None:
    with held_signals() as release:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            release()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


async def test_on_a_terminal_a_line_tells_how_it_stands_and_the_answer_is_there_once(environment: Service) -> None:
    process, screen = await terminal("run", AGENT, prompt(STEPS), tty=True)
    assert screen is not None
    async with asyncio.timeout(60):
        said = await asyncio.to_thread(read_all, screen)
        assert await process.wait() == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert re.search(AGENT + r" · 0:\d\d · .*at most \$5\.00", plain)
    assert "→ Bash echo seen" in plain
    assert plain.count("all of it") == 1
    assert "completed after" in plain


async def test_jobs_are_cancelled_by_the_beginning_of_their_ids(
    environment: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [await queued(environment, prompt=prompt(LONG)) for _ in range(2)]
    assert {job_id for job_id, _ in await asyncio.to_thread(complete_running_job, "")} >= {*ids}
    assert await command("cancel", *(job_id[:18] for job_id in ids), "--json") == 0
    assert [job["state"] for job in json.loads(capsys.readouterr().out)] == ["Cancelled"] * 2


@pytest.mark.usefixtures("no_signals")
async def test_what_cannot_be_done_is_said_in_a_line(
    environment: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command("watch", "no-such-id") == 4
    assert await command("cancel", "0000") == 4
    assert await command("run", AGENT, "hi", "--budget", "-1") == 4
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2][:30] for line in said] == [
        "'no-such-id' is not a job id, ",
        "no job's id begins with 0000; ",
        "422: max_budget_usd: Input sho",
    ]
    monkeypatch.setenv("API_PORT", "1")
    assert await command("jobs") == 4
    assert "start it with `agent-service up`" in capsys.readouterr().err


async def test_the_shell_completes_what_the_service_knows(
    environment: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await queued(environment)
    assert AGENT in await asyncio.to_thread(complete_agent, "rec")
    assert await asyncio.to_thread(complete_agent, "zzz") == []
    assert job_id in [word for word, _ in await asyncio.to_thread(complete_job, job_id[:18])]
    assert await asyncio.to_thread(complete_workspace, "def") == ["default"]
    monkeypatch.setenv("API_PORT", "1")
    assert await asyncio.to_thread(complete_agent, "") == []


async def examined(service: Service, monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[Finding]:
    """What the doctor finds where the service runs."""
    stage = service.stage
    usual = {
        "STATE_DIR": str(stage.state_dir),
        "WORKSPACE_DIR": str(stage.origin),
        "PREFECT_SERVER_API_PORT": stage.prefect_url.rsplit(":", 1)[1],
        "ANTHROPIC_API_KEY": "offline-offline",
    }
    for name, value in (usual | variables).items():
        monkeypatch.setenv(name, value)
    return await run_checks(read_world(os.environ))


async def test_the_doctor_finds_a_running_service_well(environment: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {one.check: one for one in await examined(environment, monkeypatch)}
    assert [one for one in told.values() if one.level == "broken"] == []
    assert "the service runs at" in told["api"].text
    assert "our own server answers" in told["prefect"].text
    assert "is migrated" in told["database"].text
    assert told["clock"].level == "ok"


async def test_the_doctor_tells_a_wrong_password_of_prefect(
    environment: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{environment.stage.prefect_url}/api"
    found = await examined(
        environment, monkeypatch, PREFECT_API_URL=url, PREFECT_API_AUTH_STRING="admin:hunter2hunter2"
    )
    [wrong] = [one for one in found if one.level == "broken"]
    assert (wrong.check, "refuses PREFECT_API_AUTH_STRING" in wrong.text) == ("prefect", True)
    found = await examined(environment, monkeypatch, PREFECT_API_AUTH_STRING=environment.stage.prefect_auth)
    assert [one for one in found if one.level == "broken"] == []
    said = "".join(map(str, found))
    assert environment.stage.prefect_auth.split(":")[1] not in said


async def test_the_doctor_tells_a_service_that_has_another_token(
    environment: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await examined(environment, monkeypatch, API_BEARER_TOKEN="another-0123456789abcdef")
    [wrong] = [one for one in found if one.level == "broken"]
    assert (wrong.check, "does not know this API_BEARER_TOKEN" in wrong.text) == ("api", True)


CHANGE = [{"tool": "Bash", "input": {"command": "echo more >> README.md"}}, {"text": "changed"}]


@pytest.mark.usefixtures("no_signals")
async def test_the_diff_of_a_job_is_a_patch_on_stdout(
    environment: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert await command("run", AGENT, prompt(CHANGE), "--quiet") == 0
    capsys.readouterr()
    assert await command("diff") == 0
    patch = capsys.readouterr().out
    assert patch.startswith("diff --git a/README.md b/README.md\n")
    assert "\n+more\n" in patch
    assert await command("diff", "--stat") == 0
    assert "1 file changed" in capsys.readouterr().out


async def test_agents_schedules_and_status_are_lines_for_programs(
    environment: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command("agents") == 0
    assert AGENT in [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert await command("schedules", "--on", "task-runner/often") == 0
    assert capsys.readouterr().out.splitlines()[1].split("\t")[:2] == ["task-runner/often", "on"]
    assert await command("schedules", "--off", "task-runner") == 0
    [inbox, runner] = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert (inbox[0], inbox[1], runner[1], runner[4]) == ("inbox/often", "off", "off", "every 0:00:10")
    assert await command("schedules", "--on", "nothing") == 1
    assert "there are: inbox/often, task-runner/often" in capsys.readouterr().err
    assert await command("status") == 0
    assert re.search(r"^agents: +\d of 3 slots in use$", capsys.readouterr().out, re.MULTILINE)
