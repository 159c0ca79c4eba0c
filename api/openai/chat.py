"""Route POST /v1/chat/completions."""

from __future__ import annotations

import logging
from functools import partial

from fastapi import APIRouter, Request, Response

from api.http.dependencies import ErrorBodiesDep, HostDep, SettingsDep
from api.http.disconnect import ClientDisconnected, cancel_on_disconnect
from api.http.errors import ErrorBodies
from api.http.event_stream import EventStream
from api.http.json_body import JsonRoute
from api.http.openapi import STREAM, OpenAIErrorBody, error_responses
from api.openai.chat_agent import ChatAgentDep
from api.openai.model_catalog import ModelCatalogDep
from api.openai.prompt import compose_prompt
from api.openai.remote_images import with_images
from api.openai.request import agent_request, answer_form, refuse_unserved, run_tags
from api.openai.response import AnswerFormat, answer_headers, chat_completion, result_or_error
from api.openai.run_limits import HEADERS, RunLimits, read_limits
from api.openai.schemas import ChatCompletion, ChatCompletionRequest
from api.openai.stream import chat_chunks, wait_for_start
from api.runs.followed_run import FollowedRun
from api.runs.keyed_run import KeyedRun
from api.runs.local_run import LocalRun
from api.runs.request_identity import RequestIdentity, identify
from api.runs.shared_run import RunSource, SharedRunsDep, Subscriber

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for it; the client does not read it, but access logs and metrics of a proxy may."""

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)

_log = logging.getLogger(__name__)


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={200: STREAM, **error_responses(400, 401, 413, 503, model=OpenAIErrorBody)},
)
async def create_chat_completion(
    body: ChatCompletionRequest,
    request: Request,
    host: HostDep,
    settings: SettingsDep,
    catalog: ModelCatalogDep,
    chat_agent: ChatAgentDep,
    shared_runs: SharedRunsDep,
    bodies: ErrorBodiesDep,
) -> Response:
    """Answer a conversation, whole or as a stream. A client that disconnects and does not return cancels the run."""
    refuse_unserved(body, fetches_images=settings.fetch_image_urls)
    chosen = catalog.choose(body.model)
    agent_name = chosen.agent or await chat_agent.name()
    limits = read_limits(request.headers, body.metadata, settings)
    prompt = compose_prompt(body.messages)
    agent = agent_request(body, prompt, agent_name, chosen.model, limits)
    identity = await identify(request, HEADERS)
    here = LocalRun(
        host=host,
        request=agent,
        content=partial(with_images, prompt.content, settings.max_request_bytes),
        tags=run_tags(body),
        wait_seconds=settings.queue_wait_seconds,
    )
    subscriber = shared_runs.join(identity, _source(identity, here))
    form = answer_form(body, agent, catalog, settings)
    answer = _stream if body.stream else _whole
    try:
        return await cancel_on_disconnect(request.receive, answer(subscriber, form, limits, bodies))
    except ClientDisconnected:
        subscriber.unsubscribe(answered=False)
        _log.debug("a chat client disconnected; request %s", request.state.request_id)
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException as error:
        subscriber.unsubscribe(answered=isinstance(error, Exception))
        raise


def _source(identity: RequestIdentity, here: LocalRun) -> RunSource:
    if identity.key is None:
        return here
    return KeyedRun(identity.key, identity, here, FollowedRun(here.host, here.request.timeout_seconds))


async def _whole(subscriber: Subscriber, form: AnswerFormat, limits: RunLimits, bodies: ErrorBodies) -> Response:
    transcript = subscriber.transcript
    result = await result_or_error(transcript, form)
    assert transcript.run_id is not None
    completion = chat_completion(transcript.run_id, form, result, transcript.since(0))
    headers = {**answer_headers(transcript.run_id, result), **limits.headers}
    subscriber.unsubscribe(answered=True)
    return Response(completion.model_dump_json(), headers=headers, media_type="application/json")


async def _stream(subscriber: Subscriber, form: AnswerFormat, limits: RunLimits, bodies: ErrorBodies) -> Response:
    run_id = await wait_for_start(subscriber.transcript, form)
    subscriber.mark_answer_started()
    events = chat_chunks(run_id, subscriber.transcript, form, bodies)
    headers = {**answer_headers(run_id, None), **limits.headers}
    return EventStream(events, headers, lambda complete: subscriber.unsubscribe(answered=complete))
