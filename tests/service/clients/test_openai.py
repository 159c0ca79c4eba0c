"""The openai package for Python, sync and async, against the running service with the real CLI."""

from typing import Any

import pytest
from pydantic import BaseModel

from demo.service import Stage

pytestmark = pytest.mark.client("openai")

MODEL = "claude-haiku-4-5"


class Owner(BaseModel):
    """A model in a model: its schema is a `$ref`."""

    name: str


class Size(BaseModel):
    """What the model is to find out."""

    name: str
    bytes: int
    owner: Owner


@pytest.fixture
def openai(imported: Any) -> Any:
    return imported("openai")


@pytest.fixture
def options(stage: Stage) -> dict[str, Any]:
    return {"base_url": f"{stage.url}/v1", "api_key": stage.token, "timeout": 60}


@pytest.fixture
def client(openai: Any, options: dict[str, Any]) -> Any:
    with openai.OpenAI(**options) as client:
        yield client


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.mark.shows("answer")
async def test_an_answer(openai: Any, options: dict[str, Any], script: Any) -> None:
    async with openai.AsyncOpenAI(**options) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=MODEL,
            messages=[{"role": "system", "content": "Be kind."}, *user(script({"text": "pong"}))],
            metadata={"ticket": "ops-1"},
            user="alice",
        )
    completion = raw.parse()
    assert completion.choices[0].message.content == "pong"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == MODEL
    assert completion.usage.total_tokens > 0
    assert completion._request_id == raw.headers["x-request-id"]
    assert float(raw.headers["x-cost-usd"]) > 0


@pytest.mark.shows("stream")
def test_a_stream_with_its_usage(client: Any, script: Any) -> None:
    prompt = script({"text": "one two three four five", "chunks": 5, "chunk_delay_ms": 20})
    stream = client.chat.completions.create(
        model=MODEL, messages=user(prompt), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three four five"
    )
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0


@pytest.mark.shows("stream")
async def test_the_streaming_helper_builds_the_same_completion(
    openai: Any, options: dict[str, Any], script: Any
) -> None:
    prompt = script({"text": "Looking.", "tool": "Bash", "input": {"command": "true"}}, {"text": "Done."})
    async with (
        openai.AsyncOpenAI(**options) as client,
        client.chat.completions.stream(model=MODEL, messages=user(prompt)) as stream,
    ):
        kinds = [event.type async for event in stream]
        completion = await stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= set(kinds)
    assert completion.choices[0].message.content == "Looking.\n\nDone."


@pytest.mark.shows("structured")
def test_a_parsed_answer(client: Any, script: Any) -> None:
    prompt = script({"structured": {"name": "log", "bytes": 7, "owner": {"name": "ann"}}})
    completion = client.chat.completions.parse(model=MODEL, messages=user(prompt), response_format=Size)
    assert completion.choices[0].message.parsed == Size(name="log", bytes=7, owner=Owner(name="ann"))


@pytest.mark.shows("models")
def test_the_models(client: Any) -> None:
    ids = [model.id for model in client.models.list()]
    assert MODEL in ids
    assert client.models.retrieve(MODEL).id == MODEL


@pytest.mark.shows("errors")
def test_errors_are_of_openai_s_classes_with_code_and_param(openai: Any, client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="gpt-4", messages=user("x"))
    assert (refused.value.code, refused.value.param, refused.value.type) == (
        "model_not_found",
        "model",
        "invalid_request_error",
    )
    assert "unsupported model" in str(refused.value)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=user("x"), n=2)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "n")
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("gpt-4")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError) as stranger:
        client.with_options(api_key="wrong").models.list()
    assert stranger.value.code == "invalid_api_key"


@pytest.mark.shows("errors")
def test_a_failed_run_is_an_internal_server_error_and_is_not_tried_again(
    openai: Any, client: Any, runs_of: Any, script: Any
) -> None:
    prompt = script({"error": {"status": 400, "message": "no such luck"}})
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model=MODEL, messages=user(prompt))
    assert failed.value.status_code == 503
    assert failed.value.code == "execution_failed"
    assert runs_of(prompt) == 1


@pytest.mark.shows("errors")
def test_trouble_in_the_middle_of_a_stream_is_raised(openai: Any, client: Any, script: Any) -> None:
    prompt = script(
        {"text": "I will.", "tool": "Bash", "input": {"command": "true"}}, {"error": {"status": 400, "message": "no"}}
    )
    stream = client.chat.completions.create(model=MODEL, messages=user(prompt), stream=True)
    heard: list[str] = []
    with pytest.raises(openai.APIError, match="execution failed"):
        heard.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(heard) == "I will."


@pytest.mark.shows("retries: one run")
def test_retries_of_a_client_that_lost_patience_are_one_run(
    openai: Any, options: dict[str, Any], runs_of: Any, script: Any
) -> None:
    prompt = script({"text": "at last", "delay_ms": 7000})
    # only the first retries come soon enough to find the run: three attempts of six seconds
    with openai.OpenAI(**options | {"timeout": 6, "max_retries": 2}) as client:
        completion = client.chat.completions.create(model=MODEL, messages=user(prompt))
    assert completion.choices[0].message.content == "at last"
    assert runs_of(prompt) == 1
