"""What a repository's agents are, read from its objects alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.git.environment import GitEnvironment
from agent.settings import AgentSettings
from agent.workspaces.agent_definitions import (
    FOLDER,
    MAX_FILE_BYTES,
    AgentDefinition,
    agent_name,
    list_agents,
    read_definition,
    short_name,
)
from demo.repository import git

pytestmark = pytest.mark.anyio


async def listed(tmp_path: Path, files: dict[str, str]) -> list[AgentDefinition]:
    """The agents of a commit with these files under `.claude/agents`."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        path = tmp_path / ".claude/agents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=x")
    ours = GitEnvironment(AgentSettings(state_dir=tmp_path), {"PATH": os.environ["PATH"]}).local()
    return await list_agents(ours.at(tmp_path / ".git"), git(tmp_path, "rev-parse", "HEAD").strip())


async def test_each_has_its_name_and_says_what_it_is_for(tmp_path: Path) -> None:
    found = await listed(
        tmp_path,
        {
            "z.md": "---\nname: alpha\ndescription: >\n  Says\n  much.\nmodel: haiku\n---\nYou are.\n",
            "team/b.md": "---\nname: beta\n---\n",
        },
    )
    assert found == [
        AgentDefinition(name="alpha", description="Says much.", model="haiku", path=".claude/agents/z.md"),
        AgentDefinition(name="beta", path=".claude/agents/team/b.md"),
    ]


async def test_what_is_no_definition_is_passed_by(tmp_path: Path) -> None:
    files = {
        "good.md": "---\nname: good\n---\n",
        "notes.txt": "---\nname: notes\n---\n",
        "plain.md": "no front matter",
        "broken.md": '---\nname: "x\n---\n',
        "list.md": "---\n- name\n---\n",
        "number.md": "---\nname: 7\n---\n",
        "large.md": "---\nname: large\n---\n" + "x" * MAX_FILE_BYTES,
        "bomb.md": "---\na: &a [x, x]\nb: &b [*a, *a]\nname: bomb\ndescription: *b\n---\n",
    }
    (tmp_path / ".claude/agents").mkdir(parents=True)
    (tmp_path / ".claude/agents/link.md").symlink_to("/etc/passwd")
    (tmp_path / ".claude/agents/odd\nname.md").write_text("---\nname: odd\n---\n")
    assert [agent.name for agent in await listed(tmp_path, files)] == ["bomb", "good", "odd"]


async def test_a_repository_without_agents_has_none(tmp_path: Path) -> None:
    assert await listed(tmp_path, {}) == []


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


# What the pinned CLI makes of each, as its `initialize` answer names the agents.
SPELLINGS = {
    "name: plain": "plain",
    "name: foo#bar": "foo#bar",
    "name: foo  # bar": "foo",
    "name: 'x#y'": "x#y",
    'name: "quoted"': "quoted",
    "name: it's": "it's",
    "name: >-\n  folded": "folded",
    "name: on": "on",
    "name: 2024-01-31": "2024-01-31",
    "name: with-colon\ndescription: Use it: for this": "with-colon",
    "name: with-tag\ndescription: Use it <example> user: hi </example> & [more": "with-tag",
    "name: tabbed\nmodel:\n\thaiku": "tabbed",
    "name: [": "[",
    "name: 7": None,
    "name: 1:30": None,
    "name: [a]": None,
    "name:": None,
    "title: no name": None,
}


@pytest.mark.parametrize(("matter", "name"), SPELLINGS.items())
def test_a_listing_and_a_path_name_an_agent_as_the_cli_does(checkout: Path, matter: str, name: str | None) -> None:
    text = f"---\n{matter}\n---\nYou test.\n"
    (checkout / FOLDER / "spelt.md").write_text(text)
    listed = read_definition("spelt.md", text)
    assert (listed.name if listed else None) == name
    assert agent_name(".claude/agents/spelt", checkout) == (name or "spelt")


def test_a_description_that_is_no_yaml_as_it_stands_is_read_as_the_cli_reads_it() -> None:
    text = '---\nname: a\ndescription: Use it: "so", or\\\\so\nmodel: haiku\n---\n'
    assert read_definition("a.md", text) == AgentDefinition(
        name="a", description='Use it: "so", or\\\\so', model="haiku", path="a.md"
    )


@pytest.mark.parametrize(("asked", "name"), [("a", "a"), (".claude/agents/a", "a"), ("x/a.md", "a"), (".md", ".md")])
def test_the_short_name_of_an_agent_has_no_folder_and_no_suffix(asked: str, name: str) -> None:
    assert short_name(asked) == name
