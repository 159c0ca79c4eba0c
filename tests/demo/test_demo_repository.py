"""The demo's remote is the same for everybody, whatever their git is set to."""

from pathlib import Path

import pytest

from demo.repository import WORKSPACE, create_repository, git


def test_the_remote_holds_every_file_on_main(tmp_path: Path) -> None:
    origin = create_repository(tmp_path / "remote")
    listed = git(origin, "ls-tree", "-r", "--name-only", "main").split()
    assert sorted(listed) == sorted(str(path.relative_to(WORKSPACE)) for path in WORKSPACE.rglob("*") if path.is_file())
    assert ".claude/agents/recruiter-triage.md" in listed
    assert git(origin, "rev-parse", "--is-bare-repository").strip() == "true"


def test_the_users_git_settings_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = create_repository(tmp_path / "plain")
    settings = tmp_path / "gitconfig"
    settings.write_text("[commit]\n\tgpgsign = true\n[core]\n\thooksPath = /nowhere\n\tautocrlf = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    other = create_repository(tmp_path / "other")
    assert git(plain, "rev-parse", "main") == git(other, "rev-parse", "main")


def test_a_remote_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    origin = create_repository(tmp_path)
    git(origin, "update-ref", "refs/heads/mine", "main")
    assert create_repository(tmp_path) == origin
    assert "refs/heads/mine" in git(origin, "for-each-ref")
    assert [path.name for path in tmp_path.iterdir()] == ["origin.git"]
