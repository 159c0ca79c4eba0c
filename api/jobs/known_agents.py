"""Refuses a job for an agent that does not exist, with the list of those that do, before it is queued."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError

from agent.domain.errors import WorkspaceError
from agent.domain.request import AgentRequest
from agent.settings import AgentSettings
from agent.workspaces.agent_definitions import AgentDefinition, list_agents_in, short_name
from deployments.host.host import Host

BUILT_IN = frozenset({"claude", "Explore", "general-purpose", "Plan", "statusline-setup"})
"""The agents of the pinned CLI, as its own error message lists them."""

KNOWN_SECONDS = 60.0
"""After this long an agent is looked up again: jobs of one agent cost one look-up a minute."""

LOOKUP_SECONDS = 5.0
"""A remote that is slower keeps no caller waiting: the job is queued, and the run finds out."""

_SHOWN = 50

_log = logging.getLogger(__name__)


class KnownAgents:
    """The agents that were found lately; one per application."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._found: dict[tuple[str, str | None, str], float] = {}

    async def check(self, request: AgentRequest) -> None:
        """Raise RequestValidationError if the agent does not exist. A workspace that cannot be read refuses none."""
        key = (request.workspace, request.ref, request.agent)
        if self._found.get(key, 0.0) > time.monotonic() or not is_decidable(request, self._host.runtime.settings):
            return
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                agents = await self._find(request)
        except (WorkspaceError, TimeoutError) as error:
            _log.debug("the agents of workspace %s cannot be listed: %s", request.workspace, error)
            return
        if agents is not None:
            raise _unknown(request, agents)
        self._found = {known: until for known, until in self._found.items() if until > time.monotonic()}
        self._found[key] = time.monotonic() + KNOWN_SECONDS

    async def _find(self, request: AgentRequest) -> list[str] | None:
        """Return None if the agent exists, else the names of those that do."""
        names: list[str] = []
        for fresh in (False, True):  # one that was pushed a moment ago is found by the second look
            workspaces = self._host.runtime.workspaces
            snapshot = await workspaces.sync(request.workspace, request.ref, fresh=fresh, allow_stale=True)
            agents = await workspaces.agents(snapshot) + await asyncio.to_thread(self._template_agents)
            if is_among(request.agent, agents):
                return None
            names = sorted({*(agent.name for agent in agents), *BUILT_IN})
        return names

    def _template_agents(self) -> list[AgentDefinition]:
        template = self._host.runtime.settings.agent_config_template
        return list_agents_in(template / "agents") if template is not None else []


def is_decidable(request: AgentRequest, settings: AgentSettings) -> bool:
    """True if the definitions in git, the template and the pinned CLI are all the agents that a run can have."""
    config = settings.workspaces.get(request.workspace)
    return (
        settings.claude_cli is None  # another CLI brings other agents
        and ":" not in request.agent  # an agent of a plugin
        and not (config is not None and config.post_checkout)  # it may decrypt or make definitions
    )


def is_among(asked: str, agents: list[AgentDefinition]) -> bool:
    """True if `asked`, a name or a path, means one of these agents or one of the CLI's own."""
    if "/" not in asked and not asked.endswith(".md"):
        return asked in BUILT_IN or any(agent.name == asked for agent in agents)
    path = (asked if asked.endswith(".md") else f"{asked}.md").removeprefix("./")
    name = short_name(asked)
    return name in BUILT_IN or any(agent.path == path or agent.name == name for agent in agents)


def _unknown(request: AgentRequest, names: list[str]) -> RequestValidationError:
    listed = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    where = f"workspace {request.workspace!r}" + (f" at {request.ref!r}" if request.ref else "")
    message = f"{where} has no agent {request.agent!r}; there are: {listed}"
    return RequestValidationError([{"type": "enum", "loc": ("body", "agent"), "msg": message, "input": request.agent}])


def _known_agents(request: Request) -> KnownAgents:
    known: KnownAgents = request.app.state.known_agents
    return known


KnownAgentsDep = Annotated[KnownAgents, Depends(_known_agents)]
