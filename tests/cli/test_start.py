"""The start of the terminal: what it imports, and the words that every program has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import run_command

from cli.main import COMMANDS, Commands

SLOW = {"prefect", "sqlalchemy", "fastapi", "uvicorn", "psutil", "pydantic_settings", "alembic", "asyncpg"}
ASKING = [name for name, entry in COMMANDS.items() if entry.asks_service]


def test_commands_that_ask_the_service_import_nothing_slow(tmp_path: Path) -> None:
    words = [[name, *(["x"] if name in ("cancel", "rerun", "triage") else [])] for name in ASKING if name != "run"]
    program = (
        "import sys\nfrom terminal import run_command\n"
        f"for words in {[*words, ['run', 'a', 'b', '--quiet'], ['--version']]!r}: run_command(*words)\n"
        "print(' '.join(sys.modules))"
    )
    environment = os.environ | {"API_PORT": "1", "PYTHONPATH": f"{Path(__file__).parents[1] / 'support'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "httpx" in loaded
    assert loaded & SLOW == set(), "a command of the terminal imports what takes long"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_short_and_long_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(name, "-h") == 0
    short = capsys.readouterr().out
    assert run_command(name, "--help") == 0
    assert capsys.readouterr().out == short
    assert ("--url" in short) == (COMMANDS[name].asks_service or (name == "context" and "--url" in short))


def test_what_prints_has_json() -> None:
    without = {name for name in COMMANDS if "--json" not in options(name)}
    assert without == {"up", "demo"}


def options(name: str) -> set[str]:
    commands = Commands(name="agent-service")
    return {option for parameter in commands.load(name).params for option in parameter.opts}


def test_the_versions_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("--version") == 0
    said = capsys.readouterr().out
    assert re.fullmatch(r"agent-service \S+ \(prefect \S+, claude-agent-sdk \S+\)\n", said)


def test_a_misspelt_command_is_told_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("jbos") == 2
    assert "jobs" in capsys.readouterr().err
