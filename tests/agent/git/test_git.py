"""Our own git calls: nothing of a repository acts in them, and each of them ends."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from repositories import ENVIRONMENT, git

from agent.domain.errors import NotConfigured, WorkspaceError
from agent.git.environment import GitEnvironment
from agent.git.git import Git, GitError, GitTimedOut, find_git, refuse_option
from agent.redaction.redactor import mask_url_credentials
from agent.settings import AgentSettings
from agent.system.commands import Command, CommandFailed, TimeLimit


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(place))
    (place / "a.txt").write_text("a\n")
    git(place, "add", "a.txt")
    git(place, "commit", "--quiet", "--message", "one")
    return place


def environment(tmp_path: Path, environ: dict[str, str] | None = None, **settings: object) -> GitEnvironment:
    built = AgentSettings.model_validate({"state_dir": tmp_path / "state", **settings})
    return GitEnvironment(built, {"PATH": ENVIRONMENT["PATH"], **(environ or {})})


def local(tmp_path: Path, place: Path) -> Git:
    return environment(tmp_path).local().at(place / ".git", place)


async def test_it_gives_what_git_prints(tmp_path: Path, repository: Path) -> None:
    assert await local(tmp_path, repository).text("log", "--format=%s") == "one"


async def test_a_failure_says_which_command_how_and_what_to_try(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(GitError) as caught:
        await local(tmp_path, repository).run("fetch", str(tmp_path / "nothing"))
    error = caught.value
    assert (error.command, error.exit_status) == ("git fetch", 128)
    assert "does not appear to be a git repository" in error.stderr_tail
    assert str(error).startswith("git fetch failed (128): ")
    assert str(error).endswith("is the remote there, and may this service read it?")


async def test_a_hook_a_filter_an_alias_and_fsmonitor_do_not_run(tmp_path: Path, repository: Path) -> None:
    ran = tmp_path / "ran"
    script = f"touch {ran}; false"
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)
    config = {"core.fsmonitor": script, "core.hooksPath": str(hook.parent), "alias.status": f"!{script}"}
    for key, value in config.items():
        git(repository, "config", key, value)
    ours = local(tmp_path, repository)
    await ours.run("status")
    await ours.run("checkout", "--quiet", "-b", "other")
    assert not ran.exists()


async def test_a_remote_helper_does_not_run(tmp_path: Path, repository: Path) -> None:
    ran = tmp_path / "ran"
    for git_of in (environment(tmp_path).local(), environment(tmp_path).network(None)):
        with pytest.raises(GitError, match="transport 'ext' not allowed"):
            await git_of.at(repository / ".git").run("fetch", f"ext::sh -c touch% {ran}")
    assert not ran.exists()


async def test_the_local_git_reaches_no_network(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(GitError, match="transport 'https' not allowed"):
        await local(tmp_path, repository).run("fetch", "https://127.0.0.1:1/x.git")


async def test_the_environment_is_built_and_credentials_go_to_fetches_alone(tmp_path: Path) -> None:
    environ = {"API_BEARER_TOKEN": "secret", "SSH_AUTH_SOCK": "/agent", "GIT_DIR": "/elsewhere", "HOME": "/home/me"}
    both = environment(tmp_path, environ)
    assert "secret" not in str(both.local()) + str(both.network(None))
    assert not {"SSH_AUTH_SOCK", "HOME", "GIT_DIR"} & set(both.local().environment)
    network = both.network("store --file=/x")
    assert network.environment["SSH_AUTH_SOCK"] == "/agent"
    assert network.config == {"credential.helper": "store --file=/x"}
    assert "BatchMode=yes" in network.environment["GIT_SSH_COMMAND"]


async def test_the_operators_own_git_config_is_read_for_fetches_if_set(tmp_path: Path, repository: Path) -> None:
    own = tmp_path / "own.gitconfig"
    own.write_text(f'[url "{repository}"]\n\tinsteadOf = https://example.com/x.git\n')
    target = tmp_path / "target.git"
    git(tmp_path, "init", "--quiet", "--bare", str(target))
    reach = environment(tmp_path, git_config_file=own).network(None).at(target)
    await reach.run("fetch", "https://example.com/x.git", "+main:main")
    assert git(target, "log", "--format=%s", "main") == "one"


async def test_a_call_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    slow = fake_git(tmp_path, f"sleep 60 & echo $! $$ > {pids}; wait")
    with pytest.raises(GitTimedOut, match="git fetch timed out"):
        await slow.with_time_limit(TimeLimit(0.5)).run("fetch")
    await gone(pids)


async def test_a_call_that_says_nothing_for_long_is_ended_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    talking = fake_git(tmp_path, "for i in 1 2 3 4 5 6; do echo $i >&2; sleep 0.2; done; echo done")
    assert await talking.with_time_limit(TimeLimit(30, silence_seconds=0.9)).run("fetch") == b"done\n"
    silent = fake_git(tmp_path, "echo x >&2; sleep 60")
    with pytest.raises(GitTimedOut):
        await silent.with_time_limit(TimeLimit(30, silence_seconds=0.3)).run("fetch")


async def test_a_cancelled_call_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    call = asyncio.create_task(fake_git(tmp_path, f"sleep 60 & echo $! $$ > {pids}; wait").run("fetch"))
    await until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the call is under way")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gone(pids)


async def test_output_past_the_limit_ends_the_call(tmp_path: Path) -> None:
    endless = fake_git(tmp_path, "yes")
    assert await endless.run("log", limit=1000) == b"y\n" * 500


async def test_much_on_both_pipes_and_stdin_blocks_nothing(tmp_path: Path) -> None:
    chatty = fake_git(tmp_path, "head -c 3000000 /dev/zero >&2; cat")
    assert len(await chatty.run("log", stdin=b"x" * 3_000_000)) == 3_000_000


async def test_a_program_that_does_not_read_its_input_is_no_trouble(tmp_path: Path) -> None:
    program = Command(["true"], {"PATH": ENVIRONMENT["PATH"]}, tmp_path, TimeLimit(10))
    assert await program.run(stdin=b"x" * 1_000_000) == b""


async def test_a_program_that_fails_gives_its_exit_status_and_stderr(tmp_path: Path) -> None:
    program = Command(["sh", "-c", "echo why >&2; exit 7"], {"PATH": ENVIRONMENT["PATH"]}, tmp_path, TimeLimit(10))
    with pytest.raises(CommandFailed) as caught:
        await program.run()
    assert (caught.value.exit_status, caught.value.stderr) == (7, "why\n")


async def test_credentials_show_in_no_error(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(GitError) as caught:
        await (
            environment(tmp_path)
            .network(None)
            .at(repository / ".git")
            .run("fetch", "http://user:hunter2@127.0.0.1:1/x.git?access_token=hunter3")
        )
    assert "hunter" not in str(caught.value) + caught.value.stderr_tail
    assert "127.0.0.1:1/x.git" in caught.value.stderr_tail


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pass@host/x", "https://***@host/x"),
        ("https://token@host/x and ssh://git@host/y", "https://***@host/x and ssh://***@host/y"),
        ("https://host/x?private_token=abc&b=1", "https://host/x?private_token=***&b=1"),
        ("git@host:x/y.git", "git@host:x/y.git"),
    ],
)
def test_redaction_hides_what_stands_before_the_host(text: str, shown: str) -> None:
    assert mask_url_credentials(text) == shown


@pytest.mark.parametrize("url", ["--upload-pack=touch x", "-x", "", "ext::sh -c x", "fd::17", "a\nb", "foo::bar"])
def test_an_url_that_git_could_take_for_something_else_is_refused(url: str) -> None:
    with pytest.raises(WorkspaceError, match="refused"):
        refuse_option(url, "remote")


def test_without_git_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="git is not installed"):
        find_git(str(tmp_path))


def fake_git(tmp_path: Path, script: str) -> Git:
    """A stand-in that behaves as no git can be made to."""
    path = tmp_path / "fake-git"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Git({"PATH": ENVIRONMENT["PATH"]}, TimeLimit(30), str(path))


async def until(condition: object, description: str, seconds: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, description
        await asyncio.sleep(0.01)


async def gone(pids: Path) -> None:
    """None of those processes is left."""

    def is_gone(pid: str) -> bool:
        try:
            return "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
        except FileNotFoundError:
            return True

    await until(lambda: all(is_gone(pid) for pid in pids.read_text().split()), "its processes are gone")
    assert os.getpid()
