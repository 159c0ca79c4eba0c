"""pydantic-ai against the running service with the real CLI."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from demo.service import Stage

pytestmark = pytest.mark.client("pydantic-ai-slim")


class Owner(BaseModel):
    """A model in a model: its schema is a `$ref`."""

    name: str


class Size(BaseModel):
    """What the model is to find out."""

    name: str
    bytes: int
    owner: Owner


@pytest.fixture
async def model(imported: Any, stage: Stage) -> AsyncIterator[Any]:
    make_model = imported("pydantic_ai.models.openai").OpenAIChatModel
    make_provider = imported("pydantic_ai.providers.openai").OpenAIProvider
    async with imported("openai").AsyncOpenAI(base_url=f"{stage.url}/v1", api_key=stage.token) as client:
        yield make_model("claude-haiku-4-5", provider=make_provider(openai_client=client))


@pytest.mark.shows("answer")
async def test_an_answer(imported: Any, model: Any, script: Any) -> None:
    answer = await imported("pydantic_ai").Agent(model, instructions="Be kind.").run(script({"text": "pong"}))
    assert answer.output == "pong"


@pytest.mark.shows("stream")
async def test_a_stream(imported: Any, model: Any, script: Any) -> None:
    prompt = script({"text": "one two three", "chunks": 3, "chunk_delay_ms": 20})
    async with imported("pydantic_ai").Agent(model).run_stream(prompt) as stream:
        heard = [text async for text in stream.stream_text(delta=False, debounce_by=None)]
    assert heard[-1] == "one two three"


@pytest.mark.shows("structured")
async def test_a_native_output(imported: Any, model: Any, script: Any) -> None:
    module = imported("pydantic_ai")
    prompt = script({"structured": {"name": "log", "bytes": 7, "owner": {"name": "ann"}}})
    answer = await module.Agent(model, output_type=module.NativeOutput(Size)).run(prompt)
    assert answer.output == Size(name="log", bytes=7, owner=Owner(name="ann"))


@pytest.mark.shows("errors")
async def test_a_forced_tool_call_is_refused_by_name(imported: Any, model: Any) -> None:
    with pytest.raises(imported("pydantic_ai.exceptions").ModelHTTPError) as refused:
        await imported("pydantic_ai").Agent(model, output_type=Size).run("x")
    assert (refused.value.status_code, refused.value.body["param"]) == (400, "tool_choice")
