"""A machine that systemd boots, with the unit installed by the commands of docs/deploying.md; make systemd-test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from client import TOKEN, Caller, bash, say
from engine import BASE, ROOT, Engine, make_base, wait_until

pytestmark = pytest.mark.long

MACHINE, NAME, PORT = "agent-service-test-machine", "agent-service-test-systemd", 18_090
PACKAGES = "systemd systemd-sysv dbus git bubblewrap ripgrep procps"
CAPABILITIES = ("SYS_ADMIN", "SYS_PTRACE", "SYS_NICE", "NET_ADMIN", "DAC_READ_SEARCH")
CGROUPS_1 = [
    "--volume",
    "/sys/fs/cgroup:/sys/fs/cgroup:ro",
    "--volume",
    "/sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd",
]
CGROUPS_2 = ["--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup"]
SETTINGS = f"""
API_BEARER_TOKEN={TOKEN}
API_HOST=0.0.0.0
ANTHROPIC_API_KEY=offline
ANTHROPIC_BASE_URL=http://127.0.0.1:9001
WORKSPACE_DIR=file:///var/lib/repository/origin.git
"""


def documented_commands() -> list[str]:
    """The commands of the section One machine, without what installs packages."""
    text = (ROOT / "docs" / "deploying.md").read_text()
    block = re.search(r"## One machine\n\n```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return [line.partition("   #")[0] for line in block[1].splitlines() if not line.startswith("apt ")]


@contextmanager
def machine(engine: Engine, work: Path, repository: Path) -> Iterator[None]:
    make_base(engine, work)
    install = f"RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends {PACKAGES}"
    engine.build(f'FROM {BASE}\n{install}\nSTOPSIGNAL SIGRTMIN+3\nCMD ["/sbin/init"]\n', MACHINE, work)
    words = [word for place in ("/run", "/run/lock", "/tmp") for word in ("--tmpfs", place)]
    # less than --privileged: an engine may lack a capability itself
    words += [word for name in CAPABILITIES for word in ("--cap-add", name)]
    words += [
        word for name in ("seccomp", "apparmor", "systempaths") for word in ("--security-opt", f"{name}=unconfined")
    ]
    words += CGROUPS_2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else CGROUPS_1
    words += ["--publish", f"127.0.0.1:{PORT}:8080", "--volume", f"{repository}:/var/lib/repository:ro"]
    with engine.container(NAME, *words, MACHINE):
        yield


def test_the_unit_runs_a_job_in_a_sandbox_and_goes_on_after_a_restart(
    engine: Engine, repository: Path, tmp_path: Path
) -> None:
    with machine(engine, tmp_path, repository), Caller(f"http://127.0.0.1:{PORT}") as caller:

        def shell(command: str, *, check: bool = True) -> str:
            return engine.run("exec", "--workdir", "/src", NAME, "sh", "-ec", command, check=check)

        engine.run("exec", NAME, "mkdir", "/src")
        for name in ("agent", "api", "cli", "demo", "deployments", "flows", "store", "tasks"):
            engine.run("cp", ROOT / name, f"{NAME}:/src/{name}")
        for name in ("pyproject.toml", "README.md", "LICENSE", "prefect.yaml", "constraints.txt"):
            engine.run("cp", ROOT / name, f"{NAME}:/src/{name}")
        wait_until(lambda: "running" in shell("systemctl is-system-running || true") or _is_degraded(shell), "booted")
        shell("systemctl daemon-reload")

        *before, _, enable = documented_commands()
        for command in before:
            shell(command)
        shell("install -m 0644 deployments/systemd/agent-service.service /etc/systemd/system/")
        shell(f"cat > /etc/agent-service/environment <<'END'\n{SETTINGS}END")
        python = "/opt/agent-service/bin/python"
        shell(f"systemd-run --unit=model {python} -m demo.offline_model.model --port 9001")
        shell(enable)

        wait_until(lambda: caller.is_ready() or "failed" in shell("systemctl is-active agent-service || true"), "ready")
        assert caller.is_ready(), shell("journalctl -u agent-service --no-pager | tail -50")
        job = caller.start(bash("cat /proc/1/cmdline | tr '\\0' ' '; id -u"), say("{tool_result}"))
        found = caller.result(job)
        assert found["status"] == "completed", found
        assert "bwrap" in found["result"] or "sh" in found["result"]

        waiting = caller.start(bash("sleep 20"), say("slept"), on_crash="resume")
        wait_until(lambda: caller.job(waiting)["phase"] == "working", "the job works")
        engine.run("exec", "--detach", NAME, "systemctl", "restart", "agent-service")
        wait_until(lambda: not caller.is_ready(), "the service has stopped", 3000)
        wait_until(caller.is_ready, "the service is back")
        assert caller.result(waiting)["status"] == "completed"

        doctor = re.search(r"(systemd-run --quiet.*?doctor)\n", (ROOT / "docs/deploying.md").read_text(), re.DOTALL)
        assert doctor is not None
        said = shell(doctor[1], check=False)
        assert "nothing is broken" in said, said

        # a mistake that no restart mends: the unit has failed, and says why
        shell("echo API_HOST=192.0.2.1 >> /etc/agent-service/environment")
        shell("systemctl restart agent-service", check=False)
        wait_until(lambda: "failed" in shell("systemctl is-active agent-service || true"), "the unit has failed")
        assert "cannot listen on 192.0.2.1:8080" in shell("journalctl -u agent-service --no-pager | tail -20")


def _is_degraded(shell: object) -> bool:
    return callable(shell) and "degraded" in str(shell("systemctl is-system-running || true"))
