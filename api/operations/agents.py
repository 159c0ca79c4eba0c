"""The agents that there are to ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from agent.domain.errors import WorkspaceError
from agent.settings import DEFAULT_WORKSPACE
from agent.system.text import shorten_cause
from agent.workspaces.agent_definitions import AgentDefinition
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.openapi import answers

router = APIRouter(tags=["agents"])


class AgentList(BaseModel):
    """The agents of a workspace, as its git has them now."""

    workspace: str
    ref: str
    commit: str
    stale: bool = Field(description="The remote is away: this is the last that is known.")
    agents: list[AgentDefinition]


@router.get("/agents", responses=answers(401, 404, 503))
async def list_agents(
    host: HostDep,
    workspace: Annotated[str, Query(description="The name of a configured workspace.")] = DEFAULT_WORKSPACE,
    ref: Annotated[str | None, Query(description="A branch, tag or commit instead of its own.")] = None,
) -> AgentList:
    """The agents under `.claude/agents` of a workspace; those of AGENT_CONFIG_TEMPLATE are not among them."""
    workspaces = host.runtime.workspaces
    try:
        snapshot = await workspaces.sync(workspace, ref, allow_stale=True)
        agents = await workspaces.agents(snapshot)
    except WorkspaceError as error:
        status = 503 if error.retryable else 404
        headers = {"retry-after": "30"} if error.retryable else None
        raise ApiError(status, shorten_cause(str(error)), headers=headers) from None
    return AgentList(workspace=workspace, ref=snapshot.ref, commit=snapshot.commit, stale=snapshot.stale, agents=agents)
