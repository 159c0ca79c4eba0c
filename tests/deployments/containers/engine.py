"""A container engine: the one that runs here, or the tests' own, for root; and images made without a registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FILES = ROOT / "deployments"
CACHE = Path("/var/tmp/agent-service-containers")  # a base takes minutes to make
BASE, IMAGE = "python:3.11-slim-bookworm", "claude-agent-service"
SECURITY = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--security-opt", f"seccomp={FILES}/docker/seccomp.json", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined"),
)
"""As docs/deploying.md has it."""


@dataclass(frozen=True)
class Engine:
    """Docker's command line, for one engine."""

    environment: dict[str, str]

    def run(self, *words: object, seconds: float = 1800, check: bool = True) -> str:
        """Run `docker` and return all that it prints."""
        done = subprocess.run(
            ["docker", *map(str, words)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, f"docker {' '.join(map(str, words))}\n{done.stdout[-4000:]}"
        return done.stdout

    def inspect(self, container: str) -> dict[str, Any]:
        """Return the state of a container."""
        return dict(json.loads(self.run("inspect", container))[0]["State"])

    def has_image(self, name: str) -> bool:
        """True if an image of this name is here."""
        return bool(self.run("images", "--quiet", name).strip())

    @contextmanager
    def container(self, name: str, *words: object) -> Iterator[str]:
        """Start a container in the background, and remove it with its volumes at the end."""
        self.run("rm", "--force", "--volumes", name, check=False)
        self.run("run", "--detach", "--name", name, *words)
        try:
            yield name
        finally:
            self.run("rm", "--force", "--volumes", name, check=False)

    def build(self, dockerfile: Path | str, tag: str, context: Path) -> str:
        """Build an image with the network of this machine; `dockerfile` is a path or the text of one."""
        if isinstance(dockerfile, str):
            file = context / f"{tag.replace(':', '-')}.Dockerfile"
            file.write_text(dockerfile)
            dockerfile = file
        return self.run("build", "--network", "host", "--file", dockerfile, "--tag", tag, context)


@contextmanager
def open_engine() -> Iterator[Engine]:
    """Give an engine, or skip the test and say why."""
    if shutil.which("docker") is None or shutil.which("debootstrap") is None:
        pytest.skip("needs docker and debootstrap: apt install docker.io debootstrap")
    engine = Engine(dict(os.environ))
    if "Server Version" in engine.run("info", check=False):
        yield engine
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("no container engine runs here, and only root can start one")
    CACHE.mkdir(parents=True, exist_ok=True)
    engine = Engine(os.environ | {"DOCKER_HOST": f"unix://{CACHE}/docker.sock"})
    places = [f"--data-root={CACHE}/data", f"--exec-root={CACHE}/exec", f"--pidfile={CACHE}/docker.pid"]
    with (CACHE / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", f"--host=unix://{CACHE}/docker.sock", *places], stdout=log, stderr=log, start_new_session=True
        )
    try:
        while "Server Version" not in engine.run("info", check=False):
            if daemon.poll() is not None:
                reason = (CACHE / "dockerd.log").read_text().strip().splitlines()[-1]
                pytest.skip(f"no container engine can run here: {reason}")
            time.sleep(0.2)
        yield engine
    finally:
        daemon.terminate()
        daemon.wait(60)


def make_base(engine: Engine, work: Path) -> None:
    """Make a Debian with Python, named as the base that the Dockerfile asks for, and all wheels in it.

    What is built on it needs no package index: this machine's pip has fetched the wheels, by its own settings.
    """
    if engine.has_image(BASE):
        return
    root = work / "base"
    packages = "python3,python3-venv,ca-certificates"
    subprocess.run(["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root], check=True)
    wheels = root / "opt" / "wheels"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # async-timeout: Debian's Python 3.11 is older than 3.11.3, and the one that fetches may not be
    wanted = [*project["dependencies"], *extras["scale"], *extras["traces"], "hatchling", "async-timeout"]
    pip = [ROOT / ".venv" / "bin" / "python", "-m", "pip"]
    subprocess.run([*pip, "download", "-q", "-c", ROOT / "constraints.txt", "-d", wheels, *wanted], check=True)
    (root / "etc" / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /opt/wheels\n")
    (root / "usr" / "local" / "bin" / "python").symlink_to("/usr/bin/python3")
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    if authorities.exists():
        shutil.copy(authorities, root / "etc" / "ssl" / "certs")
    archive = work / "base.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(root, ".")
    engine.run("import", archive, BASE)
    shutil.rmtree(root)
    archive.unlink()


def wait_until(claim: Any, what: str, seconds: float = 600) -> None:
    """Wait until `claim()` is true."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)
