"""The Node clients against the running service with the real CLI."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parent / "node"
OPENAI = pytest.mark.client("openai (Node)")
AI = pytest.mark.client("ai + @ai-sdk/openai-compatible")
BOTH = [pytest.param("openai", marks=OPENAI), pytest.param("ai", marks=AI)]

SIZE = {"name": "log", "bytes": 7, "owner": {"name": "ann"}}

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def node(run_program: Any) -> Run:
    """Runs one of the programs; skips where they or node are not installed."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    if not (NODE / "node_modules").is_dir():
        pytest.skip("the Node clients are not installed: make clients brings them, with npm")

    def node(client: str, task: str, prompt: str = "x") -> dict[str, Any]:
        found: dict[str, Any] = run_program(program, NODE / f"{client}.mjs", task, prompt)
        return found

    return node


@pytest.mark.shows("answer")
@pytest.mark.parametrize("client", BOTH)
def test_an_answer(node: Run, client: str, script: Any) -> None:
    found = node(client, "answer", script({"text": "pong"}))
    assert found["text"] == "pong"
    assert found["tokens"] > 0


@pytest.mark.shows("stream")
@pytest.mark.parametrize("client", BOTH)
def test_a_stream_with_its_usage(node: Run, client: str, script: Any) -> None:
    found = node(client, "stream", script({"text": "one two three", "chunks": 3, "chunk_delay_ms": 50}))
    assert found["text"] == "one two three"
    assert found["tokens"] > 0


@pytest.mark.shows("structured")
@pytest.mark.parametrize("client", BOTH)
def test_an_object(node: Run, client: str, script: Any) -> None:
    found = node(client, "structured", script({"structured": SIZE}))
    assert found["object"] == SIZE


@OPENAI
@pytest.mark.shows("models")
def test_the_models(node: Run) -> None:
    found = node("openai", "models")
    assert found["one"] in found["ids"]


@OPENAI
@pytest.mark.shows("errors")
def test_errors_are_of_openai_s_classes(node: Run, script: Any) -> None:
    found = node("openai", "errors", script({"error": {"status": 400, "message": "no such luck"}}))
    assert found["refused"] == {
        "kind": "BadRequestError",
        "status": 400,
        "code": "model_not_found",
        "param": "model",
    }
    assert (found["failed"]["kind"], found["failed"]["status"]) == ("InternalServerError", 503)
    assert found["stranger"]["kind"] == "AuthenticationError"


@AI
@pytest.mark.shows("errors")
def test_an_error_is_told_in_words(node: Run) -> None:
    found = node("ai", "errors")
    assert found["refused"]["status"] == 400
    assert "unsupported model" in found["refused"]["message"]


@OPENAI
@pytest.mark.shows("retries: one run")
def test_retries_of_a_client_that_lost_patience_are_one_run(node: Run, runs_of: Any, script: Any) -> None:
    prompt = script({"text": "at last", "delay_ms": 7000})
    assert node("openai", "retries", prompt)["text"] == "at last"
    assert runs_of(prompt) == 1
