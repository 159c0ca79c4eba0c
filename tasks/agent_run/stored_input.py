"""Requests larger than Prefect's parameter limit: kept in the store, restored for the run."""

from __future__ import annotations

import json

from agent.claude.turn import Content
from agent.domain.request import AgentRequest
from agent.domain.values import Frozen
from store.store import Store

PARAMETER_BYTES = 400_000
"""Prefect refuses parameters of more than 524,288 bytes (`server.api.max_parameter_size`)."""

_EXCERPT_CHARACTERS = 2_000


class StoredInput(Frozen):
    """The parts of a request that may be large."""

    content: Content
    instructions: str | None = None


async def store_input(store: Store, request: AgentRequest, content: Content | None = None) -> AgentRequest:
    """Return the request as Prefect accepts it; what is too large for a parameter is stored.

    `content` replaces the prompt if the prompt is more than text, e.g. images.
    """
    if content is None and len(json.dumps(request.as_parameter())) <= PARAMETER_BYTES:
        return request
    kept = StoredInput(content=request.prompt if content is None else content, instructions=request.instructions)
    excerpt = {"prompt": request.prompt[:_EXCERPT_CHARACTERS], "instructions": None}
    return request.model_copy(update={**excerpt, "input_id": await store.inputs.save(kept.model_dump_json())})


async def restore_input(store: Store, request: AgentRequest) -> tuple[AgentRequest, Content]:
    """Return the request with its stored parts, and the prompt to send to the agent."""
    if request.input_id is None:
        return request, request.prompt
    kept = StoredInput.model_validate_json(await store.inputs.load(request.input_id))
    return request.model_copy(update={"instructions": kept.instructions}), kept.content
