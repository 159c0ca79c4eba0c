"""A run's own directory, and one that an agent has had before."""

from __future__ import annotations

import os
from pathlib import Path

from agent.sandbox.run_directory import RunDirectory, private_directory

OLD, NEW = "0b4f6a2c-8f1d-4c2e-9d3a-111111111111", "0b4f6a2c-8f1d-4c2e-9d3a-222222222222"


def keep(directory: Path, session_id: str, changed_at: float) -> None:
    place = RunDirectory(directory=directory).config / "projects" / "-workspace"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{session_id}.jsonl").touch()
    os.utime(place / f"{session_id}.jsonl", (changed_at, changed_at))


def test_the_session_that_was_kept_last_is_the_one(tmp_path: Path) -> None:
    assert RunDirectory(directory=tmp_path).session_id() is None
    keep(tmp_path, NEW, 2000)
    keep(tmp_path, OLD, 1000)
    assert RunDirectory(directory=tmp_path).session_id() == NEW


def test_a_file_whose_name_is_an_option_is_no_session(tmp_path: Path) -> None:
    keep(tmp_path, OLD, 1000)
    for name in ("--mcp-config=x", "-p", f"{NEW}\n--verbose", f"{NEW} ", NEW.upper(), ""):
        keep(tmp_path, name, 2000)
    assert RunDirectory(directory=tmp_path).session_id() == OLD


async def test_nothing_is_written_into_one_that_an_agent_has_had(tmp_path: Path) -> None:
    template, precious = tmp_path / "template", tmp_path / "precious"
    template.mkdir()
    (template / "settings.json").write_text("{}")
    precious.write_text("precious")
    async with private_directory(tmp_path / "run", template, lambda: True) as private:
        assert (private.config / "settings.json").read_text() == "{}"
        (private.config / "settings.json").unlink()
        (private.config / "settings.json").symlink_to(precious)
    async with private_directory(tmp_path / "run", template) as private:
        assert (private.config / "settings.json").is_symlink()
    assert precious.read_text() == "precious"
    assert not (tmp_path / "run").exists()
