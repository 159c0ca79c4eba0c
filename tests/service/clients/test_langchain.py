"""langchain-openai against the running service with the real CLI."""

from typing import Any

import pytest
from pydantic import BaseModel

from demo.service import Stage

pytestmark = [pytest.mark.client("langchain-openai"), pytest.mark.long]


class Owner(BaseModel):
    """A model in a model: its schema is a `$ref`."""

    name: str


class Size(BaseModel):
    """What the model is to find out."""

    name: str
    bytes: int
    owner: Owner


@pytest.fixture
def chat(imported: Any, stage: Stage) -> Any:
    kind = imported("langchain_openai").ChatOpenAI
    return kind(base_url=f"{stage.url}/v1", api_key=stage.token, model="claude-haiku-4-5", timeout=60)


@pytest.mark.shows("answer")
def test_invoke(chat: Any, script: Any) -> None:
    message = chat.invoke([("system", "Be kind."), ("human", script({"text": "pong"}))])
    assert message.content == "pong"
    assert message.usage_metadata["total_tokens"] > 0
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.shows("stream")
def test_stream_with_usage(chat: Any, script: Any) -> None:
    prompt = script({"text": "one two three", "chunks": 3, "chunk_delay_ms": 20})
    chunks = list(chat.stream(prompt, stream_usage=True))
    whole = sum(chunks[1:], chunks[0])
    assert whole.content == "one two three"
    assert whole.usage_metadata["total_tokens"] > 0


@pytest.mark.shows("structured")
def test_structured_output(chat: Any, script: Any) -> None:
    prompt = script({"structured": {"name": "log", "bytes": 7, "owner": {"name": "ann"}}})
    answer = chat.with_structured_output(Size, method="json_schema").invoke(prompt)
    assert answer == Size(name="log", bytes=7, owner=Owner(name="ann"))


@pytest.mark.shows("errors")
def test_an_error_is_openai_s(imported: Any, chat: Any) -> None:
    with pytest.raises(imported("openai").BadRequestError) as refused:
        chat.bind(model="gpt-4").invoke("x")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
