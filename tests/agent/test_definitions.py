from pathlib import Path

import pytest

from agent.workspaces.agent_definitions import FOLDER, agent_name


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "service-upgrade.md").write_text(
        "---\nname: upgrader  # of services\nmodel: haiku\n---\nYou …\n"
    )
    (tmp_path / FOLDER / "plain.md").write_text("You have no front matter.\nname: not-this\n")
    return tmp_path


@pytest.mark.parametrize("asked", [".claude/agents/service-upgrade", ".claude/agents/service-upgrade.md"])
def test_a_path_means_the_agent_that_the_definition_there_names(checkout: Path, asked: str) -> None:
    assert agent_name(asked, checkout) == "upgrader"


def test_a_name_is_the_name(checkout: Path) -> None:
    assert agent_name("service-upgrade", checkout) == "service-upgrade"


def test_without_a_declared_name_the_file_names_the_agent(checkout: Path) -> None:
    assert agent_name(".claude/agents/plain", checkout) == "plain"
    assert agent_name(".claude/agents/missing", checkout) == "missing"


def test_a_link_out_of_the_checkout_is_not_read(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.md"
    secret.write_text("---\nname: leaked\n---\n")
    (checkout / FOLDER / "linked.md").symlink_to(secret)
    assert agent_name(".claude/agents/linked", checkout) == "linked"
