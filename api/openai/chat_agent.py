"""The agent that answers chat callers: the configured one, or one that the default workspace has."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated

from fastapi import Depends, Request

from agent.domain.errors import WorkspaceError
from api.settings import ApiSettings
from deployments.host.host import Host

PREFERRED = "recruiter-triage"
"""The agent of the earlier service with these routes: where the workspace has it, its callers still get it."""

OTHERWISE = "general-purpose"
"""An agent of the CLI itself."""

KNOWN_SECONDS = 60.0
LOOKUP_SECONDS = 5.0
"""A remote that is slower keeps no caller waiting."""

_log = logging.getLogger(__name__)


class ChatAgent:
    """Finds the agent, and remembers it for a minute; one per application."""

    def __init__(self, host: Host, settings: ApiSettings) -> None:
        self._host = host
        self._configured = settings.openai_compat_agent
        self._found = OTHERWISE
        self._until = 0.0

    async def name(self) -> str:
        """Return the agent's name."""
        if self._configured is not None:
            return self._configured
        if self._until < time.monotonic():
            self._found = await self._look()
            self._until = time.monotonic() + KNOWN_SECONDS
        return self._found

    async def _look(self) -> str:
        workspaces = self._host.runtime.workspaces
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                agents = await workspaces.agents(await workspaces.sync(allow_stale=True))
        except (WorkspaceError, TimeoutError) as error:
            _log.debug("the agents of the default workspace cannot be listed: %s", error)
            return self._found
        return PREFERRED if any(agent.name == PREFERRED for agent in agents) else OTHERWISE


def _chat_agent(request: Request) -> ChatAgent:
    agent: ChatAgent = request.app.state.chat_agent
    return agent


ChatAgentDep = Annotated[ChatAgent, Depends(_chat_agent)]
