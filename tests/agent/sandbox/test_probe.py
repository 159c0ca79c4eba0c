import shutil
from pathlib import Path

import pytest

from agent.domain.errors import NotConfigured
from agent.sandbox import probe as sandbox
from agent.sandbox.probe import probe_sandbox

NO_NAMESPACE = "bwrap: No permissions to create new namespace, likely because the kernel does not allow it"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory that programs are looked for in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def pretend(programs: Path, script: str) -> None:
    """A bubblewrap that does what the script says."""
    program = programs / "bwrap"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0 && exit\n{script}\n')
    program.chmod(0o755)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_a_sandbox_is_really_built() -> None:
    found = probe_sandbox("auto")
    if found.kind == "none":
        pytest.skip(f"needs a bubblewrap that works: {found.reason}")
    assert found.bubblewrap is not None
    assert found.path == found.bubblewrap.path
    assert found.version
    assert probe_sandbox("bwrap") == found


def test_off_is_off_and_says_so() -> None:
    found = probe_sandbox("off")
    assert (found.kind, found.reason) == ("none", "AGENT_SANDBOX=off")


def test_a_missing_program_is_named_with_its_package(programs: Path) -> None:
    found = probe_sandbox("auto")
    assert found.kind == "none"
    assert "apt install bubblewrap" in found.remedy


def test_who_asks_for_a_sandbox_and_cannot_have_one_is_refused(programs: Path) -> None:
    with pytest.raises(NotConfigured, match=r"AGENT_SANDBOX=bwrap.*apt install bubblewrap"):
        probe_sandbox("bwrap")


@pytest.mark.parametrize(
    ("said", "kernel", "cure"),
    [
        (NO_NAMESPACE, {"user/max_user_namespaces": "0"}, "sysctl user.max_user_namespaces="),
        (NO_NAMESPACE, {"kernel/unprivileged_userns_clone": "0"}, "sysctl kernel.unprivileged_userns_clone=1"),
        (
            "bwrap: setting up uid map: Permission denied",
            {"kernel/apparmor_restrict_unprivileged_userns": "1"},
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("bwrap: Creating new namespace failed: Operation not permitted", {}, "seccomp=seccomp.json"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", {}, "systempaths=unconfined"),
        ("bwrap: something new", {}, "by hand"),
    ],
)
def test_the_reason_names_the_cure(
    programs: Path, monkeypatch: pytest.MonkeyPatch, said: str, kernel: dict[str, str], cure: str
) -> None:
    pretend(programs, f'echo "{said}" >&2; exit 1')
    monkeypatch.setattr(sandbox, "_kernel_says", kernel.get)
    found = probe_sandbox("auto")
    assert found.kind == "none"
    assert said in found.reason
    assert cure in found.remedy
    assert found.version == "0.8.0"


def test_the_strongest_sandbox_that_works_is_taken(programs: Path) -> None:
    pretend(programs, 'case "$*" in *--disable-userns*) echo no such option >&2; exit 1;; esac; echo in a sandbox')
    found = probe_sandbox("auto")
    assert found.bubblewrap is not None
    assert found.bubblewrap.user_namespace
    assert not found.bubblewrap.seal
    assert "namespaces" in found.reason


def test_a_sandbox_that_does_not_hold_is_none(programs: Path) -> None:
    pretend(programs, "echo out in the open")
    assert probe_sandbox("auto").kind == "none"


def test_a_sandbox_that_hangs_costs_a_bounded_time(programs: Path) -> None:
    pretend(programs, "exec /bin/sleep 600")
    assert "did not end within" in probe_sandbox("auto", timeout_seconds=0.2).reason
