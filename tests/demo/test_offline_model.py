"""The offline model over HTTP: streams, errors, hangs, and its life as a process."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskStatus

from demo.offline_model.model import OfflineModel


@pytest.fixture
async def client(model: OfflineModel) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the model."""
    async with httpx.AsyncClient(base_url=model.url, timeout=20, headers={"x-api-key": "k"}) as client:
        yield client


def asking(*steps: dict[str, Any], stream: bool = False) -> dict[str, Any]:
    prompt = f"offline-model: {json.dumps(steps)}"
    return {"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}]}


async def ask(client: httpx.AsyncClient, *steps: dict[str, Any], stream: bool = False) -> httpx.Response:
    return await client.post("/v1/messages?beta=true", json=asking(*steps, stream=stream))


async def test_an_answer_comes_whole_or_as_a_stream(client: httpx.AsyncClient, model: OfflineModel) -> None:
    whole, streamed = await ask(client, {"text": "hi"}), await ask(client, {"text": "hi"}, stream=True)
    assert whole.json()["content"] == [{"type": "text", "text": "hi"}]
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text.startswith("event: message_start\n")
    assert streamed.text.endswith('data: {"type": "message_stop"}\n\n')
    assert [(request.path, request.key) for request in model.requests] == [("/v1/messages", "k")] * 2
    assert model.conversations[1].stream


async def test_an_error_has_the_envelope_status_and_headers_asked_for(client: httpx.AsyncClient) -> None:
    error = {"status": 429, "message": "slow down", "headers": {"retry-after": "3600"}}
    response = await ask(client, {"error": error, "times": 1}, {"text": "hi"})
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3600"
    assert response.json()["error"] == {"type": "rate_limit_error", "message": "slow down"}
    assert (await ask(client, {"error": error, "times": 1}, {"text": "hi"})).status_code == 200


async def test_forgetting_starts_the_count_again(client: httpx.AsyncClient, model: OfflineModel) -> None:
    steps = ({"error": {}, "times": 1}, {"text": "hi"})
    assert [(await ask(client, *steps)).status_code for _ in range(2)] == [529, 200]
    model.reset()
    assert (await ask(client, *steps)).status_code == 529
    assert len(model.requests) == 1


async def test_only_the_required_key_gets_in() -> None:
    async with OfflineModel(require_key="right") as model, httpx.AsyncClient(base_url=model.url) as client:
        wrong = await client.post("/v1/messages", json=asking({"text": "hi"}), headers={"x-api-key": "wrong"})
        assert wrong.status_code == 401
        assert wrong.headers["x-should-retry"] == "false"
        for headers in ({"x-api-key": "right"}, {"authorization": "Bearer right"}):
            assert (await client.post("/v1/messages", json=asking({"text": "hi"}), headers=headers)).is_success


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"messages": [{"role": "user", "content": "offline-model: [1]"}]}']
)
async def test_a_request_that_makes_no_sense_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/v1/messages", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_the_small_routes_answer(client: httpx.AsyncClient) -> None:
    assert (await client.head("/api/hello")).status_code == 200
    assert (await client.get("/v1/models")).json()["data"][0]["id"] == "claude-haiku-4-5"
    counted = await client.post("/v1/messages/count_tokens", json=asking({"text": "hi"}))
    assert counted.json()["input_tokens"] > 1
    unknown = await client.post("/v1/complete")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_breaks_off_in_the_middle(client: httpx.AsyncClient, stream: bool) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(client, {"text": "I was about to", "cut": True}, stream=stream)


@pytest.mark.parametrize("step", [{"hang": True}, {"text": "I was", "hang": True}, {"text": "x", "delay_ms": 60_000}])
async def test_a_client_that_leaves_frees_the_model(
    client: httpx.AsyncClient, model: OfflineModel, step: dict[str, Any]
) -> None:
    with anyio.move_on_after(5) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ask(client, step, stream=True))
            await model.wait_for_requests(1)
            assert model.open == 1
            group.cancel_scope.cancel()
    assert not scope.cancelled_caught
    await model.wait_until_idle(5)


async def test_the_model_ends_at_once_though_an_answer_hangs() -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group, httpx.AsyncClient(timeout=20) as client:

            async def hang(url: str) -> None:
                with pytest.raises(httpx.TransportError):
                    await client.post(f"{url}/v1/messages", json=asking({"hang": True}))

            async with OfflineModel() as model:
                group.start_soon(hang, model.url)
                await model.wait_for_requests(1)


async def test_two_hundred_streams_are_open_at_once(model: OfflineModel) -> None:
    body = json.dumps(asking({"text": "here I am", "hang": True}, stream=True))
    request = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:

            async def one(*, task_status: TaskStatus[None]) -> None:
                async with await anyio.connect_tcp("127.0.0.1", model.port) as connection:
                    await connection.send(request)
                    received = b""
                    while b"here I am" not in received:
                        received += await connection.receive()
                    task_status.started()
                    await anyio.sleep_forever()

            for _ in range(200):
                await group.start(one)
            assert model.open == 200
            group.cancel_scope.cancel()
    await model.wait_until_idle(10)


def start_process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "demo.offline_model.model", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def test_a_process_says_its_address_first_and_ends_on_sigterm(tmp_path: Path) -> None:
    port_file = tmp_path / "port.txt"
    with start_process("--port-file", str(port_file)) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/api/hello").status_code == 200
        assert url == f"http://127.0.0.1:{int(port_file.read_text())}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)


def test_a_process_ends_when_its_stdin_is_closed() -> None:
    with start_process("--exit-with-parent", stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_process_ends_with_its_parent() -> None:
    shell = f"{sys.executable} -m demo.offline_model.model --exit-with-parent < /dev/null & read -r wait"
    with subprocess.Popen(["/bin/sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline().startswith("http://127.0.0.1:")
        parent.kill()
        # our end of its stdout reads the end only when the model has gone too
        assert parent.stdout.read() == ""
