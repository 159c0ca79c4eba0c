"""Route GET /agents."""

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
from api.http.openapi import error_responses

router = APIRouter(tags=["agents"])


class AgentList(BaseModel):
    """The agents of a workspace at one commit."""

    workspace: str
    ref: str
    commit: str
    stale: bool = Field(description="The remote cannot be reached; this is its last known state.")
    agents: list[AgentDefinition]


@router.get("/agents", responses=error_responses(401, 404, 503))
async def list_agents(
    host: HostDep,
    workspace: Annotated[str, Query(description="The name of a configured workspace.")] = DEFAULT_WORKSPACE,
    ref: Annotated[str | None, Query(description="A branch, tag or commit; default: the workspace's own.")] = None,
) -> AgentList:
    """The agents under `.claude/agents` of a workspace, without those of AGENT_CONFIG_TEMPLATE."""
    workspaces = host.runtime.workspaces
    try:
        snapshot = await workspaces.sync(workspace, ref, allow_stale=True)
        agents = await workspaces.agents(snapshot)
    except WorkspaceError as error:
        status = 503 if error.retryable else 404
        headers = {"retry-after": "30"} if error.retryable else None
        raise ApiError(status, shorten_cause(str(error)), headers=headers) from None
    return AgentList(workspace=workspace, ref=snapshot.ref, commit=snapshot.commit, stale=snapshot.stale, agents=agents)
