"""An agent's git works where the service's does, whatever the machine's own config says."""

from pathlib import Path

import pytest
from repositories import ENVIRONMENT, Host, Upstream, run

from agent.git.agent_config import agent_git_config, read_system_config

MACHINE = """\
[commit]
\tgpgSign = true
[tag]
\tforceSignAnnotated = true
[user]
\tname = Somebody
\tsigningKey = 1234
[gpg]
\tprogram = /usr/bin/false
[core]
\thooksPath = /etc/githooks
\tpager = less
[alias]
\tci = !false
[http]
\tproxy = http://proxy.example:3128
[url "https://mirror.example/a \\"b\\"/"]
\tinsteadOf = https://example.com/
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of an agent on a machine whose config is for its people."""
    machine = tmp_path / "machine.gitconfig"
    machine.write_text(MACHINE)
    system = read_system_config({"PATH": ENVIRONMENT["PATH"], "GIT_CONFIG_SYSTEM": str(machine)})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(agent_git_config("Claude Agent", "agent@localhost", system))
    return {"PATH": ENVIRONMENT["PATH"], "HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1"}


def test_how_to_reach_remotes_stays_and_what_needs_keys_hooks_and_programs_does_not(
    tmp_path: Path, home: dict[str, str]
) -> None:
    listed = run(["git", "config", "--global", "--list"], tmp_path, home).splitlines()
    assert listed == [
        "http.proxy=http://proxy.example:3128",
        'url.https://mirror.example/a "b"/.insteadof=https://example.com/',
        "safe.directory=*",
        "commit.gpgsign=false",
        "tag.gpgsign=false",
        "user.name=Claude Agent",
        "user.email=agent@localhost",
    ]


async def test_an_agent_fetches_from_a_remote_of_another_owner_and_commits_anywhere(
    tmp_path: Path, home: dict[str, str]
) -> None:
    upstream = Upstream(tmp_path / "upstream")
    checkout, _ = await Host(tmp_path / "state", upstream.remote).ready()
    # git's own switch for its tests: every repository is somebody else's
    foreign = {**home, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    script = (
        "git fetch -q origin; git init -q nested; cd nested; git commit -q --allow-empty -m x; git log --format=%an"
    )
    assert run(["sh", "-euc", script], checkout, foreign) == "Claude Agent"
