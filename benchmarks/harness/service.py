"""The parts that benchmarks share: a model, the service beside it, and a clone in which rivals work."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.repository import create_repository, git
from demo.service import Stage, set_stage

AGENT = "recruiter-triage"
"""Who answers chat callers."""

START_SECONDS = 30.0
ANY_AGENTS = 80
DEFINITION = "---\nname: {name}\ndescription: One of many\n---\nAnswer what you are asked.\n"
# the demo's own has schedules: their runs would take slots
REGISTER = """\
deployments:
  - name: agent-run
    entrypoint: flows.agent_run.agent_run
    work_pool: {name: agents}
  - name: triage
    entrypoint: flows.triage.triage
    work_pool: {name: triage}
"""


@dataclass(frozen=True)
class Scene:
    """A running service, its model, and a place for rivals."""

    stage: Stage
    model_url: str
    directory: Path
    clone: Path


def any_agents() -> list[str]:
    """The names of agents that nobody prepares for."""
    return [f"any-{number}" for number in range(ANY_AGENTS)]


@contextmanager
def open_scene(settings: Mapping[str, str] | None = None) -> Iterator[Scene]:
    """The service with everything on, under the `settings`; ended at the end, and nothing left of it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, model_process(Path(scratch)) as model_url:
        directory = Path(scratch)
        # before the service looks: what is pushed later it need not see for as long as it may be behind
        add_agents(create_repository(directory / "ours" / "repository"), directory)
        with staged(directory / "ours", model_url, settings) as stage:
            clone = directory / "clone"
            git(directory, "clone", "--quiet", str(stage.origin), str(clone))
            yield Scene(stage, model_url, directory, clone)


@contextmanager
def staged(directory: Path, model_url: str, settings: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """A service that keeps no schedules, and offers chat callers many agents."""
    directory.mkdir(parents=True, exist_ok=True)
    register = directory / "register.yaml"
    register.write_text(REGISTER)
    # the stage fetches before each run: here a workspace is as fresh as it is by default
    defaults = {"OPENAI_COMPAT_AGENTS": ",".join(any_agents()), "FETCH_DEBOUNCE_SECONDS": "15"}
    given = defaults | dict(settings or {}) | asked_settings()
    with set_stage(directory, model_url, given, register) as stage:
        yield stage


def asked_settings() -> dict[str, str]:
    """Settings of the service under test, as in `make bench ONLY=latency SETTINGS="AGENT_WARM=0"`."""
    return dict(word.split("=", 1) for word in os.environ.get("SETTINGS", "").split())


@contextmanager
def model_process(directory: Path) -> Iterator[str]:
    """The offline model, in a process of its own: it shall not wait for whoever measures."""
    port_file = directory / "model.port"
    command = [sys.executable, "-m", "demo.offline_model.model", "--port-file", str(port_file), "--exit-with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not port_file.exists():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("the offline model did not start")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port_file.read_text().strip()}"
        finally:
            process.terminate()


def add_agents(origin: Path, scratch: Path) -> None:
    """Push the definitions of many agents: one that was not asked for before is one that nothing is prepared for."""
    checkout = scratch / "agents"
    git(scratch, "clone", "--quiet", str(origin), str(checkout))
    for name in any_agents():
        (checkout / ".claude" / "agents" / f"{name}.md").write_text(DEFINITION.format(name=name))
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "Many agents")
    git(checkout, "push", "--quiet", "origin", "main")
