"""`make`: the pins of the service, and a wrong Python named before anything is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]


def names(lines: list[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", Requirement(line).name).lower() for line in lines}


def test_the_service_runs_on_a_part_of_the_pins_with_all_that_it_asks_for() -> None:
    pins = (ROOT / "requirements.txt").read_text().splitlines()
    assert set(pins) <= set((ROOT / "constraints.txt").read_text().splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert names(project["dependencies"]) <= names(pins)
    assert "pytest" not in names(pins)


def make(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, directory)
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    return subprocess.run(
        ["make", *words], cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def old_python(directory: Path) -> Path:
    program = directory / "python3.10"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && { echo Python 3.10.12; exit 0; }\nexit 1\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("target", ["demo", "install", "test"])
def test_an_old_python_is_named_and_nothing_is_left_behind(tmp_path: Path, target: str) -> None:
    done = make(tmp_path, target, f"PYTHON={old_python(tmp_path)}")
    assert done.returncode != 0
    assert "Python 3.11 or later is needed" in done.stderr
    assert "is Python 3.10.12." in done.stderr
    assert f"make {target} PYTHON=python3.12" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = make(tmp_path, "demo", "PYTHON=python3.99")
    assert done.returncode != 0
    assert "Python 3.11 or later is needed, and python3.99 is" in done.stderr


def test_an_environment_of_an_old_python_is_not_in_the_way_of_the_right_one(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    old_python(tmp_path).rename(tmp_path / ".venv" / "bin" / "python")
    right = tmp_path / "python"  # whose `-m venv` does no more than the test needs
    venv = f'[ "$2" = venv ] && {{ mkdir -p .venv/bin; exec ln -s {sys.executable} .venv/bin/python; }}'
    right.write_text(f'#!/bin/sh\n{venv}\nexec {sys.executable} "$@"\n')
    right.chmod(0o755)
    done = make(tmp_path, ".venv/bin/python", f"PYTHON={right}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".venv" / "bin" / "python").readlink() == Path(sys.executable)
