"""The real CLI against the offline model, and stand-ins for what the real one cannot be made to do."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.claude.arguments import build_argv
from agent.claude.environment import build_environment
from agent.claude.installation import find_cli
from agent.claude.process import AgentProcess
from agent.claude.process_spec import ProcessSpec
from agent.claude.turn import Content, Turn
from agent.domain.events import Event
from agent.domain.request import AgentRequest
from agent.domain.result import Invocation
from agent.sandbox.run_directory import RunDirectory
from agent.settings import AgentSettings
from demo.offline_model.model import OfflineModel
from demo.repository import create_repository

AGENT = "---\nname: tester\ndescription: tests\n---\nYou test.\n"


@pytest.fixture(scope="session")
def offline_model() -> Iterator[OfflineModel]:
    """One that no service of other tests talks to."""
    with OfflineModel() as model:
        yield model


@pytest.fixture
def settings(tmp_path: Path, offline_model: OfflineModel) -> AgentSettings:
    """One slot for agents of the demo's repository, on the offline model."""
    return AgentSettings(
        state_dir=tmp_path / "state",
        workspace_dir=str(create_repository(tmp_path / "repository")),
        anthropic_api_key=SecretStr("offline"),
        anthropic_base_url=offline_model.url,
        agent_capacity=1,
    )


class Bench:
    """Holds conversations with a CLI, and remembers the events."""

    def __init__(self, directory: Path, model: OfflineModel) -> None:
        self.directory = directory
        self.model = model
        self.checkout = directory / "checkout"
        (self.checkout / ".claude" / "agents").mkdir(parents=True)
        (self.checkout / ".claude" / "agents" / "tester.md").write_text(AGENT)
        self.cli = find_cli(AgentSettings())
        self.events: list[Event] = []
        self.stall_seconds = 600.0
        self.background_seconds = 20.0
        self.process: AgentProcess | None = None

    def stand_in(self, script: str) -> None:
        """Take `script` for the CLI."""
        self.cli = self.directory / "claude"
        self.cli.write_text(f"#!/bin/bash\n{script}\n")
        self.cli.chmod(0o700)

    async def converse(self, prompt: str, content: Content | None = None, **fields: object) -> Invocation:
        request = AgentRequest.model_validate({"prompt": prompt, "agent": "tester", **fields})
        turn = await self.start(request)
        return await turn.run(content or request.prompt)

    async def start(self, request: AgentRequest) -> Turn:
        private = RunDirectory(directory=self.directory / "private")
        for path in (private.home, private.config, private.tmp):
            path.mkdir(parents=True, exist_ok=True)
        access = {"ANTHROPIC_API_KEY": "offline", "ANTHROPIC_BASE_URL": self.model.url}
        environment = build_environment(os.environ, [], access, model_retries=1) | private.variables()
        argv = build_argv(self.cli, ProcessSpec.of(request), request.agent)
        self.process = await AgentProcess.start(argv, environment, self.checkout)
        return Turn(
            self.process,
            request,
            request.agent,
            self.stall_seconds,
            self.events.append,
            background_seconds=self.background_seconds,
        )


@pytest.fixture
def bench(tmp_path: Path, offline_model: OfflineModel) -> Bench:
    offline_model.reset()
    return Bench(tmp_path, offline_model)
