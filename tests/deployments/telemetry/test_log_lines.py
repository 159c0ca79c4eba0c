"""A line of the log is one event, says which run it is about, and has no secret in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from deployments.telemetry import logs
from deployments.telemetry.logs import about_run, configure_logs

SECRET = "hunter2-hunter2-hunter2"
JSON_CONFIG = Path(logs.__file__).parents[1].joinpath("standalone", "prefect_logging_json.yml")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    names = (None, "uvicorn", "fastapi", "prefect._internal")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, list(logger.handlers), logger.propagate) for logger in loggers]
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(capsys)]


def test_json_is_one_object_a_line_whatever_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    try:
        raise ValueError('"quoted"\nand on two lines')
    except ValueError:
        logging.getLogger("deployments.host.host").exception("it failed:\r\n%s", '{"a": "b"}')
    [line] = objects(capsys)
    assert line.keys() == {"time", "level", "logger", "message", "exception"}
    assert (line["level"], line["logger"]) == ("error", "deployments.host.host")
    assert line["message"].split() == ["it", "failed:", '{"a":', '"b"}']
    assert "and on two lines" in line["exception"]


async def test_each_line_of_a_run_says_so_in_either_format(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    first, second = uuid4(), uuid4()

    async def work(run_id: UUID) -> None:
        with about_run(run_id):
            await asyncio.sleep(0)
            logging.getLogger("agent").info("at work on %s", run_id)
            await asyncio.to_thread(logging.getLogger("agent.git.git").warning, "in a thread, %s", run_id)

    await asyncio.gather(work(first), work(second))
    logging.getLogger("agent").info("of no run")
    said = objects(capsys)
    assert [line.get("run_id") for line in said].count(None) == 1
    assert all(line["run_id"] in line["message"] for line in said if "run_id" in line)
    configure_logs("info", "text")
    await work(first)
    assert all(f"agent: [{first}] " in line or f"agent.git.git: [{first}] " in line for line in lines(capsys))


def test_prefects_own_lines_of_a_run_say_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    logging.getLogger("elsewhere").info("hello", extra={"flow_run_id": "1234"})
    assert objects(capsys)[0]["run_id"] == "1234"


@pytest.mark.parametrize("form", ["text", "json"])
def test_known_secrets_are_taken_out_of_messages_and_tracebacks(
    form: logs.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info", form, [SECRET])
    try:
        raise ValueError(f"no entry with {SECRET}")
    except ValueError:
        logging.getLogger("agent").exception("the key %s is wrong; sk-ant-api03-%s", SECRET, "a1" * 40)
    said = "\n".join(lines(capsys))
    assert "[redacted" in said
    assert SECRET not in said
    assert "a1a1a1a1" not in said


@pytest.mark.parametrize("name", ["uvicorn.error", "fastapi", "prefect._internal.concurrency", "prefect.worker"])
def test_what_libraries_say_has_the_same_form(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    logging.getLogger(name).error("mind the gap")
    assert [line["message"] for line in objects(capsys)] == ["mind the gap"]


def test_the_prefect_servers_log_is_json_as_well() -> None:
    """With Prefect's own way to set a logging configuration, in a process of its own as the server is."""
    program = (
        "import logging\n"
        "from prefect.logging.configuration import setup_logging\n"
        "setup_logging()\n"
        "for name in ('prefect.server.services', 'uvicorn.error', 'sqlalchemy', 'prefect._internal.x'):\n"
        "    logging.getLogger(name).error('said by %s', name)\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "PREFECT_LOGGING_SETTINGS_PATH": str(JSON_CONFIG),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=JSON_CONFIG.parents[1], capture_output=True, check=True
    )
    said = [json.loads(line) for line in done.stderr.decode().splitlines()]
    assert [line["logger"] for line in said] == [line["message"].removeprefix("said by ") for line in said]
    assert len(said) == 4
