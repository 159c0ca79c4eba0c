"""Chat completions: an agent's run, asked for and answered in OpenAI's terms."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request, Response

from agent.models import AgentRequest
from api.chat_answer import answer_headers, chat_completion
from api.chat_request import agent_request, refuse_unserved
from api.disconnect import ClientGone, while_connected
from api.documentation import OpenAIErrorBody, answers
from api.door import Door, TheDoor
from api.job_request import TRIGGER
from api.json_request import JsonRoute
from api.openai import ChatCompletion, ChatCompletionRequest
from api.prompt import Prompt, compose_prompt

TAG = f"{TRIGGER}chat"
CLIENT_CLOSED_REQUEST = 499

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)

_log = logging.getLogger(__name__)


@router.post(
    "/chat/completions", response_model=ChatCompletion, responses=answers(400, 401, 413, 503, model=OpenAIErrorBody)
)
async def create_chat_completion(asked: ChatCompletionRequest, request: Request, door: TheDoor) -> Response:
    """Answer a conversation; a caller who hangs up ends the run."""
    refuse_unserved(asked, door.settings)
    prompt = compose_prompt(asked.messages)
    wanted = agent_request(asked, prompt, door.settings)
    try:
        return await while_connected(request.receive, _answer(wanted, prompt, door))
    except ClientGone:
        _log.info("a chat caller went away; request %s", request.state.request_id)
        return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _answer(wanted: AgentRequest, prompt: Prompt, door: Door) -> Response:
    wait_seconds = door.settings.queue_wait_seconds
    async with door.host.inline(wanted, tags=[TAG], wait_seconds=wait_seconds, content=prompt.content) as run:
        outcome = await run.outcome()
    completion = chat_completion(run.run_id, str(wanted.model), outcome)
    headers = answer_headers(run.run_id, outcome.result)
    return Response(completion.model_dump_json(), headers=headers, media_type="application/json")
