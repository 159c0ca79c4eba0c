"""Flow: run one agent once."""

from __future__ import annotations

import asyncio

from prefect import State, flow
from prefect.states import Cancelling

from agent.domain.errors import AgentError
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult
from tasks.agent_run.context import current_run
from tasks.agent_run.extract_result import extract_result
from tasks.agent_run.git_sync import git_sync
from tasks.agent_run.invoke_agent import invoke_agent
from tasks.agent_run.outcome import CANCELLED, conclude, conclude_failure, put_off
from tasks.agent_run.publish import publish
from tasks.agent_run.resumption import suspend
from tasks.agent_run.stored_input import restore_input


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
        if later := suspend():
            return later
        await publish(request, conclude_failure(request, cancelled))
        return Cancelling(message=CANCELLED)
    except Exception as failure:  # a mistake of ours: whoever waits gets an outcome all the same
        await publish(request, conclude_failure(request, failure))
        raise
    await publish(request, conclude(result))
    return Cancelling(message=CANCELLED) if run.is_cancelled else result
