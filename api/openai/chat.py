"""Chat completions: an agent's run, asked for and answered in OpenAI's terms."""

from __future__ import annotations

import logging
from functools import partial

from fastapi import APIRouter, Request, Response

from api.http.dependencies import ErrorBodiesDep, HostDep, SettingsDep
from api.http.disconnect import ClientGone, while_connected
from api.http.errors import ErrorBodies
from api.http.event_stream import EventStream
from api.http.json_body import JsonRoute
from api.http.openapi import STREAM, OpenAIErrorBody, answers
from api.openai.model_catalog import ModelCatalogDep
from api.openai.prompt import compose_prompt
from api.openai.remote_images import with_images
from api.openai.request import agent_request, answer_form, refuse_unserved, run_tags
from api.openai.response import Form, answer_headers, chat_completion
from api.openai.run_limits import HEADERS, RunLimits, read_limits
from api.openai.schemas import ChatCompletion, ChatCompletionRequest
from api.openai.stream import chat_chunks, opened
from api.runs.followed_run import FollowedRun
from api.runs.keyed_run import KeyedRun
from api.runs.local_run import LocalRun
from api.runs.request_identity import RequestIdentity, identify
from api.runs.shared_run import RunSource, SharedRunsDep, Subscriber

CLIENT_CLOSED_REQUEST = 499

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)

_log = logging.getLogger(__name__)


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={200: STREAM, **answers(400, 401, 413, 503, model=OpenAIErrorBody)},
)
async def create_chat_completion(
    asked: ChatCompletionRequest,
    request: Request,
    host: HostDep,
    settings: SettingsDep,
    catalog: ModelCatalogDep,
    shared_runs: SharedRunsDep,
    bodies: ErrorBodiesDep,
) -> Response:
    """Answer a conversation, as a whole or as it is said; a caller who hangs up, and stays away, ends the run."""
    refuse_unserved(asked, fetches_images=settings.fetch_image_urls)
    chosen = catalog.choose(asked.model)
    limits = read_limits(request.headers, asked.metadata, settings)
    prompt = compose_prompt(asked.messages)
    wanted = agent_request(asked, prompt, chosen, limits)
    identity = await identify(request, HEADERS)
    here = LocalRun(
        host=host,
        request=wanted,
        content=partial(with_images, prompt.content, settings.max_request_bytes),
        tags=run_tags(asked),
        wait_seconds=settings.queue_wait_seconds,
    )
    caller = shared_runs.join(identity, _source(identity, here))
    form = answer_form(asked, wanted, catalog, settings.openai_compat_reasoning)
    answer = _stream if asked.stream else _whole
    try:
        return await while_connected(request.receive, answer(caller, form, limits, bodies))
    except ClientGone:
        caller.leave(answered=False)
        _log.info("a chat caller went away; request %s", request.state.request_id)
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException as error:
        caller.leave(answered=isinstance(error, Exception))
        raise


def _source(identity: RequestIdentity, here: LocalRun) -> RunSource:
    if identity.key is None:
        return here
    return KeyedRun(identity.key, identity, here, FollowedRun(here.host, here.request.timeout_seconds))


async def _whole(caller: Subscriber, form: Form, limits: RunLimits, bodies: ErrorBodies) -> Response:
    transcript = caller.transcript
    outcome = await transcript.outcome()
    assert transcript.run_id is not None
    completion = chat_completion(transcript.run_id, form, outcome, transcript.since(0))
    headers = {**answer_headers(transcript.run_id, outcome.result), **limits.headers}
    caller.leave(answered=True)
    return Response(completion.model_dump_json(), headers=headers, media_type="application/json")


async def _stream(caller: Subscriber, form: Form, limits: RunLimits, bodies: ErrorBodies) -> Response:
    run_id = await opened(caller.transcript)
    caller.begins_to_hear()
    events = chat_chunks(run_id, caller.transcript, form, bodies)
    headers = {**answer_headers(run_id, None), **limits.headers}
    return EventStream(events, headers, lambda heard: caller.leave(answered=heard))
