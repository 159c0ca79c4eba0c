"""Pydantic models of OpenAI's chat completion API, as far as supported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, StrictBool, StrictInt, field_validator, model_validator

from agent.domain.values import Frozen, Text
from api.http.field_types import AnswerSchema, JsonObject
from api.openai.content_parts import as_answer, as_parts, as_said
from api.openai.data_url import DOCUMENTS, IMAGES, DataUrl, is_remote, read_data_url

MAX_STOPS = 16
"""OpenAI takes four; agents' libraries send a few more."""


class TextPart(Frozen):
    """A text part."""

    type: Literal["text"]
    text: Text


class RefusalPart(Frozen):
    """A refusal of the assistant."""

    type: Literal["refusal"]
    refusal: Text


class ImageUrl(Frozen):
    """An image as a data URL or by URL."""

    url: Text = Field(description="data:image/png;base64,… (or jpeg, gif, webp); with FETCH_IMAGE_URLS also https:…")

    @field_validator("url")
    @classmethod
    def _is_image(cls, url: str) -> str:
        if not is_remote(url):
            read_data_url(url, IMAGES)
        return url

    @property
    def data(self) -> DataUrl | None:
        """The image; None for an image by URL."""
        return None if is_remote(self.url) else read_data_url(self.url, IMAGES)


class ImagePart(Frozen):
    """An image part."""

    type: Literal["image_url"]
    image_url: ImageUrl


class File(Frozen):
    """A document as a data URL."""

    file_data: str = Field(description="data:application/pdf;base64,…")
    filename: Annotated[Text, Field(max_length=255)] | None = None

    @field_validator("file_data")
    @classmethod
    def _is_document(cls, url: str) -> str:
        read_data_url(url, DOCUMENTS)
        return url

    @property
    def data(self) -> DataUrl:
        """The document."""
        return read_data_url(self.file_data, DOCUMENTS)


class FilePart(Frozen):
    """A document part."""

    type: Literal["file"]
    file: File


UserPart = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]

Texts = Annotated[list[TextPart], BeforeValidator(as_parts, json_schema_input_type=str | list[TextPart | str] | None)]
UserContent = Annotated[
    list[UserPart], BeforeValidator(as_parts, json_schema_input_type=str | list[UserPart | str] | None)
]
ToolContent = Annotated[list[UserPart], BeforeValidator(as_answer, json_schema_input_type=JsonValue)]
AssistantContent = Annotated[
    list[AssistantPart], BeforeValidator(as_said, json_schema_input_type=str | list[AssistantPart | str])
]


class SystemMessage(Frozen):
    """A system message: instructions."""

    role: Literal["system", "developer"]
    content: Texts


class UserMessage(Frozen):
    """A user message."""

    role: Literal["user"]
    content: UserContent
    name: Text | None = None


class AssistantMessage(Frozen):
    """An earlier answer of the assistant."""

    role: Literal["assistant"]
    content: AssistantContent | None = None
    refusal: Text | None = None
    tool_calls: list[dict[str, JsonValue]] | None = None
    function_call: dict[str, JsonValue] | None = None


class ToolMessage(Frozen):
    """The result of a tool call."""

    role: Literal["tool", "function"]
    content: ToolContent
    tool_call_id: Text | None = None
    name: Text | None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class NamedSchema(Frozen):
    """The JSON Schema of the answer."""

    name: str | None = None
    schema_: AnswerSchema = Field(alias="schema")


class ResponseFormat(Frozen):
    """The format of the answer: text, any JSON object, or JSON that satisfies a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing")
        return self


class StreamOptions(Frozen):
    """Options of a stream."""

    include_usage: StrictBool | None = Field(
        default=None, description="Send the usage in a last chunk without choices."
    )


class ChatCompletionRequest(Frozen):
    """The body of POST /v1/chat/completions; members that are not listed here are ignored."""

    messages: list[Message] = Field(min_length=1, examples=[[{"role": "user", "content": "Which mails are urgent?"}]])
    model: str | None = Field(default=None, description="One of `GET /v1/models`.")
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    include_reasoning: StrictBool | None = Field(
        default=None, description="An extension: thinking and tool calls as `reasoning_content`; default: a setting."
    )
    metadata: JsonObject | None = Field(
        default=None, description="Stored with the run; `max_budget_usd` and `timeout_seconds` in it lower the limits."
    )
    user: JsonValue = Field(default=None, description="A string becomes a tag of the run; other values are ignored.")
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    n: StrictInt | None = Field(default=None, ge=1, description="1; more is refused.")
    logprobs: StrictBool | None = Field(default=None, description="Refused.")
    top_logprobs: StrictInt | None = Field(default=None, ge=0, description="Refused.")
    audio: JsonValue = Field(default=None, description="Refused.")
    modalities: list[str] | None = Field(default=None, description="Text; more is refused.")
    tool_choice: JsonValue = Field(default=None, description="What forces no call; a forced call is refused.")
    function_call: JsonValue = Field(default=None, description="auto, none; a forced call is refused.")
    stop: str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None = Field(
        default=None, description="The answer's text is cut there; the run goes on to its end, and is paid."
    )


class CompletionMessage(Frozen):
    """The answer of the agent."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ReasonedMessage(CompletionMessage):
    """The answer with thinking and tool calls."""

    reasoning_content: str


class Choice(Frozen):
    """The one answer of a completion."""

    index: int = 0
    message: CompletionMessage | ReasonedMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class PromptTokensDetails(Frozen):
    """Details of the input tokens."""

    cached_tokens: int


class CompletionUsage(Frozen):
    """The tokens of all model calls of the run."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class ChatCompletion(Frozen):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[Choice]
    usage: CompletionUsage


class Delta(Frozen):
    """A piece of the answer; members without a value are left out."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: None = None
    reasoning_content: str | None = None


class ChunkChoice(Frozen):
    """The choice of a chunk."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: Literal["stop"] | None = None


class ChatCompletionChunk(Frozen):
    """A piece of a streamed completion; the last one with a choice has the finish reason."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None
