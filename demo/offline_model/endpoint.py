"""The routes of the offline model: reads a request, finds its step, answers, and keeps what was asked."""

import json
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from demo.offline_model.answer import compose_answer, count_tokens
from demo.offline_model.conversation import Conversation, read_conversation
from demo.offline_model.demo_agents import improvise
from demo.offline_model.messages import encode_error
from demo.offline_model.response import Performance
from demo.offline_model.script import Failure, RequestCounter, ScriptStep, find_script, next_step

MODELS = ("claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7")
WRONG_KEY = Failure(status=401, message="The offline model wants another key.", headers={"x-should-retry": "false"})
BODY: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class RecordedRequest(BaseModel, frozen=True):
    """A request as it arrived, with lower-case header names; `body` is empty when it was not a JSON object."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str:
        """The provider key it came with, by either header."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def conversation(self) -> Conversation:
        """What a message request told the model."""
        return read_conversation(self.body)


class MessagesEndpoint:
    """The ASGI application; `open` counts the requests that are being answered."""

    def __init__(self, *, require_key: str | None = None, record: bool = True) -> None:
        self.require_key = require_key
        self.record = record
        self.requests: list[RecordedRequest] = []
        self.tally = RequestCounter()
        self.open = 0
        self._app = Starlette(
            routes=[
                Route("/v1/messages", self.create_message, methods=["POST"]),
                Route("/v1/messages/count_tokens", self.count_message_tokens, methods=["POST"]),
                Route("/v1/models", self.list_models),
                Route("/api/hello", self.greet),
                Route("/{path:path}", self.refuse, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.open -= 1

    async def create_message(self, request: Request) -> Response:
        """Answer as the directive says, or improvise."""
        recorded = await self.receive(request)
        if self.require_key not in (None, recorded.key):
            return error_response(WRONG_KEY)
        try:
            conversation = recorded.conversation
            step = self.choose_step(conversation)
        except (ValueError, KeyError, TypeError) as error:
            return error_response(Failure(status=400, message=f"{type(error).__name__}: {error}"))
        if step.error:
            return error_response(step.error)
        return Performance(step, compose_answer(step, conversation), stream=conversation.stream)

    def choose_step(self, conversation: Conversation) -> ScriptStep:
        """Return the next step of the prompt's directive, else of the agent's, else what comes to mind."""
        script = find_script(conversation.prompt, conversation.system)
        return next_step(script, conversation.turn, self.tally) if script else improvise(conversation)

    async def receive(self, request: Request) -> RecordedRequest:
        """Read a request whole, and keep it."""
        try:
            body = BODY.validate_python(json.loads(await request.body() or b"{}"))
        except (ValueError, ValidationError):
            body = {}
        recorded = RecordedRequest.model_construct(
            method=request.method, path=request.url.path, headers=dict(request.headers), body=body
        )
        if self.record:
            self.requests.append(recorded)
        return recorded

    async def count_message_tokens(self, request: Request) -> Response:
        """Count a request's tokens by the length of its text."""
        recorded = await self.receive(request)
        return JSONResponse({"input_tokens": count_tokens(recorded.conversation.characters)})

    async def list_models(self, request: Request) -> Response:
        """List the models, though any name is answered."""
        await self.receive(request)
        data = [{"type": "model", "id": name, "display_name": name} for name in MODELS]
        return JSONResponse({"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})

    async def greet(self, request: Request) -> Response:
        """Answer the CLI's look whether anybody is there."""
        await self.receive(request)
        return JSONResponse({"message": "hello"})

    async def refuse(self, request: Request) -> Response:
        """Answer what the offline model does not have with 404."""
        recorded = await self.receive(request)
        return error_response(Failure(status=404, message=f"No {recorded.method} {recorded.path} here."))


def error_response(failure: Failure) -> Response:
    """Return an error in the API's envelope."""
    headers = {"content-type": "application/json"} | failure.headers
    return Response(encode_error(failure), failure.status, headers)
