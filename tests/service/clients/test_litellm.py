"""litellm as a client of the running service with the real CLI."""

from typing import Any

import pytest

from demo.service import Stage

pytestmark = [pytest.mark.client("litellm"), pytest.mark.long]


@pytest.fixture
def litellm(imported: Any) -> Any:
    module = imported("litellm")
    module.telemetry = False
    return module


@pytest.fixture
def options(stage: Stage) -> dict[str, Any]:
    model = "openai/claude-haiku-4-5"
    return {"model": model, "api_base": f"{stage.url}/v1", "api_key": stage.token, "timeout": 60}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.mark.shows("answer")
def test_a_completion(litellm: Any, options: dict[str, Any], script: Any) -> None:
    completion = litellm.completion(messages=user(script({"text": "pong"})), **options)
    assert completion.choices[0].message.content == "pong"
    assert completion.usage.total_tokens > 0


@pytest.mark.shows("stream")
def test_a_stream_with_its_usage(litellm: Any, options: dict[str, Any], script: Any) -> None:
    prompt = script({"text": "one two three", "chunks": 3, "chunk_delay_ms": 20})
    stream = litellm.completion(messages=user(prompt), stream=True, stream_options={"include_usage": True}, **options)
    chunks = list(stream)
    heard = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(heard) == "one two three"
    assert any(getattr(chunk, "usage", None) for chunk in chunks)


@pytest.mark.shows("errors")
def test_an_error(litellm: Any, options: dict[str, Any]) -> None:
    with pytest.raises(litellm.BadRequestError, match="unsupported model"):
        litellm.completion(messages=user("x"), **options | {"model": "openai/gpt-4"})
