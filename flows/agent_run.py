"""One agent, once."""

from __future__ import annotations

import asyncio

from prefect import State, flow
from prefect.states import Cancelling

from agent.errors import AgentError
from agent.models import AgentRequest, AgentResult
from tasks.conclusion import conclude, conclude_failure
from tasks.context import current_run
from tasks.extract_result import extract_result
from tasks.git_sync import git_sync
from tasks.inputs import restore_input
from tasks.invoke_agent import invoke_agent
from tasks.publish import publish


@flow(name="agent_run", persist_result=False)
async def agent_run(request: AgentRequest) -> AgentResult | State[AgentResult]:
    """Bring a workspace up to date, invoke an agent in it, extract its result, and publish that."""
    try:
        request, content = await restore_input(current_run().store, request)
        checkout = await git_sync(request)
        invocation = await invoke_agent(request, content, checkout)
        result = await extract_result(request, invocation)
    except AgentError as failure:
        await publish(request, conclude_failure(request, failure))
        raise
    except asyncio.CancelledError as cancellation:
        await publish(request, conclude_failure(request, cancellation))
        return Cancelling(message="cancelled while the agent was at work")
    await publish(request, conclude(result))
    return result
