"""One agent, once."""

from __future__ import annotations

import asyncio

from prefect import State, flow
from prefect.states import Cancelling

from agent.errors import AgentError
from agent.models import AgentRequest, AgentResult
from tasks.conclusion import CANCELLED, conclude, conclude_failure, put_off
from tasks.context import current_run
from tasks.extract_result import extract_result
from tasks.git_sync import git_sync
from tasks.inputs import restore_input
from tasks.invoke_agent import invoke_agent
from tasks.publish import publish
from tasks.resumption import part


@flow(name="agent_run", persist_result=False)
async def agent_run(request: AgentRequest) -> AgentResult | State[AgentResult]:
    """Bring a workspace up to date, invoke an agent in it, extract its result, and publish that."""
    run = current_run()
    try:
        with run.cancellation.heeded():
            request, content = await restore_input(run.store, request)
            checkout = await git_sync(request)
            invocation = await invoke_agent(request, content, checkout)
            result = await extract_result(request, invocation)
    except AgentError as failure:
        if later := put_off(failure):
            return later
        await publish(request, conclude_failure(request, failure))
        raise
    except asyncio.CancelledError as cancelled:
        if later := part():
            return later
        await publish(request, conclude_failure(request, cancelled))
        return Cancelling(message=CANCELLED)
    await publish(request, conclude(result))
    return Cancelling(message=CANCELLED) if run.is_cancelled else result
