"""Task: extract the result of an invocation."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from agent.claude.result_message import read_result
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Invocation
from tasks.agent_run.context import step


@task(name="extract_result", cache_policy=NO_CACHE, persist_result=False)
@step
async def extract_result(request: AgentRequest, invocation: Invocation) -> AgentResult:
    """Return the answer, its cost and the changes. Raises AgentFailed or AgentTimedOut if the agent ended badly."""
    return read_result(request, invocation)
