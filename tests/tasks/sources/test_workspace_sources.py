"""Sources in the workspace: its files, and what a command prints there."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import TypeAdapter

from agent.runtime import Runtime
from demo.repository import git
from tasks.sources import folder as source_folder
from tasks.sources.errors import SourceFailed
from tasks.sources.folder import list_folder
from tasks.sources.listing import list_source
from tasks.sources.models import FolderSource, Source

SOURCES: TypeAdapter[Source] = TypeAdapter(Source)


@dataclass
class Run:
    runtime: Runtime
    secrets_dir: Path


async def listed(runtime: Runtime, source: dict[str, Any], secrets: Path) -> tuple[list[Any], list[str]]:
    return await list_source(SOURCES.validate_python(source), "default", None, Run(runtime, secrets))


async def values(runtime: Runtime, source: dict[str, Any], secrets: Path = Path("/nowhere")) -> list[Any]:
    found, _ = await listed(runtime, source, secrets)
    left = runtime.settings.state_dir / "triage" / "checkouts"
    assert not left.exists() or list(left.iterdir()) == []
    return found


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "b.md").write_text("second")
    (folder / "a.md").write_bytes(b"first \xff")
    (folder / "deep").mkdir()
    (folder / "deep" / "c.md").write_text("third")
    return folder


async def test_the_files_of_a_folder_are_items_in_their_order(runtime: Runtime) -> None:
    files = await values(runtime, {"type": "folder", "path": "inbox"})
    assert [file["path"] for file in files][:2] == ["inbox/01-staff-engineer.md", "inbox/02-rockstar.md"]
    assert files[0]["name"] == "01-staff-engineer.md"
    assert files[0]["text"].startswith("From: Noor Haddad")
    assert not files[0]["cut"]


def test_a_pattern_says_which_files(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x")
    assert [file["path"] for file in list_folder(FolderSource(path="x", pattern="**/*.md"), tmp_path)] == [
        "x/a.md",
        "x/b.md",
        "x/deep/c.md",
    ]
    assert [file["name"] for file in list_folder(FolderSource(), folder)] == ["a.md", "b.md"]


def test_a_long_file_is_cut_and_known_by_all_of_it(tmp_path: Path) -> None:
    fill(tmp_path / "x")
    short = list_folder(FolderSource(path="x", max_text_bytes=3), tmp_path)[1]
    whole = list_folder(FolderSource(path="x"), tmp_path)[1]
    assert (short["text"], short["cut"], short["sha256"]) == ("sec", True, whole["sha256"])


def test_links_and_whatever_is_no_file_are_left_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x")
    (tmp_path / "secret").write_text("outside")
    (folder / "link.md").symlink_to("/etc/passwd")
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found = list_folder(FolderSource(pattern="**/*"), folder)
    assert [file["path"] for file in found] == ["a.md", "b.md", "deep/c.md"]


def test_a_folder_that_is_a_link_or_is_not_there_is_none(tmp_path: Path) -> None:
    fill(tmp_path / "x")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    for path in ("link", "nothing", "x/a.md"):
        with pytest.raises(SourceFailed, match="no folder"):
            list_folder(FolderSource(path=path), tmp_path)


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_folder, "MAX_FILES", 1)
    fill(tmp_path / "x")
    with pytest.raises(SourceFailed, match="more than 1 files"):
        list_folder(FolderSource(path="x"), tmp_path)


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../b", "a\0b"])
def test_a_way_out_of_the_workspace_is_refused_when_the_register_is_read(path: str) -> None:
    with pytest.raises(ValueError, match="inside the workspace"):
        SOURCES.validate_python({"type": "folder", "path": path})


async def test_a_command_runs_in_the_workspace_and_its_lines_are_items(runtime: Runtime) -> None:
    tasks = await values(runtime, {"type": "command", "command": "cat .beads/issues.jsonl"})
    assert [task["id"] for task in tasks] == ["lb-1", "lb-2", "lb-3", "lb-4"]


async def test_a_command_s_words_are_read_by_no_shell(runtime: Runtime) -> None:
    printed = await values(runtime, {"type": "command", "command": ["printf", "%s", '["$(id)", "; ls"]']})
    assert printed == ["$(id)", "; ls"]


async def test_a_command_sees_nothing_of_the_service_but_its_own_secrets(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_BEARER_TOKEN", "s3cret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "forge").write_text("value\n")
    program = "import os, json; print(json.dumps([dict(os.environ)]))"
    source = {
        "type": "command",
        "command": [os.path.realpath(sys.executable), "-I", "-c", program],
        "variables": {"GH_TOKEN": {"secret": "forge", "prefix": "x-"}},
    }
    (environment,) = await values(runtime, source, tmp_path / "secrets")
    assert environment["GH_TOKEN"] == "x-value"
    assert "s3cret" not in str(environment)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["sh", "-c", "echo trouble >&2; exit 3"], "ended with 3: trouble"),
        (["no-such-program"], "no-such-program"),
        (["echo", "hello"], "gave no JSON: it begins with 'hello'"),
        (["echo", '{"a": 1}'], "no list"),
        (["yes", "[1]"], "more than 1,000 bytes"),
    ],
)
async def test_a_command_that_does_not_list_is_told(runtime: Runtime, command: list[str], complaint: str) -> None:
    with pytest.raises(SourceFailed, match=complaint):
        await values(runtime, {"type": "command", "command": command, "max_bytes": 1000})


async def test_a_command_that_prints_nothing_lists_nothing(runtime: Runtime) -> None:
    assert await values(runtime, {"type": "command", "command": "true"}) == []


async def test_a_command_past_its_time_is_ended_with_all_it_started(runtime: Runtime) -> None:
    source = {"type": "command", "command": ["sh", "-c", "sleep 4321 & sleep 4321"], "timeout_seconds": 0.5}
    with pytest.raises(SourceFailed, match=r"still running after 0\.5 s"):
        await values(runtime, source)
    assert not any("4321" in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


async def test_a_workspace_that_is_not_up_to_date_is_noted(runtime: Runtime, origin: Path) -> None:
    source = {"type": "folder", "path": "inbox"}
    await values(runtime, source)
    origin.rename(origin.with_name("gone.git"))
    found, notes = await listed(runtime, source, Path("/nowhere"))
    assert len(found) == 8
    assert "not up to date" in notes[0]


async def test_messages_in_a_folder_are_text_and_the_other_files_stay_as_they_are(
    runtime: Runtime, origin: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", str(origin), "work")
    message = b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n"
    (tmp_path / "work" / "mails").mkdir()
    (tmp_path / "work" / "mails" / "a.eml").write_bytes(message)
    (tmp_path / "work" / "mails" / "b.md").write_text("# note")
    git(tmp_path / "work", "add", ".")
    git(tmp_path / "work", "commit", "--quiet", "--message=Mail")
    git(tmp_path / "work", "push", "--quiet")
    mail, note = await values(runtime, {"type": "folder", "path": "mails"})
    assert (mail["subject"], mail["path"], mail["text"]) == ("Grüße", "mails/a.eml", "Subject: Grüße\n\nGrüße")
    assert note["text"] == "# note"
