"""The pinned CLI's own calls pass the proxy byte for byte, whatever it uses and whatever the network policy."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from far_end import CLAUDE, opened

from agent.provider.proxy import ProviderProxy
from demo.offline_model.endpoint import MessagesEndpoint
from demo.offline_model.model import OfflineModel

DOT = base64.b64decode(
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HELPER = 'offline-model: [{"tool": "Bash", "input": {"command": "echo from a helper"}}, {"text": "helped"}]'
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
STEPS: list[dict[str, Any]] = [
    {"thinking": "Let me look.", "tool": "Bash", "input": {"command": "echo hello"}},
    {"tool": "Read", "input": {"file_path": "dot.png"}},
    {"tool": "Write", "input": {"file_path": "new.txt", "content": "text"}},
    {"tools": [{"tool": "Bash", "input": {"command": "echo a"}}, {"tool": "Bash", "input": {"command": "echo b"}}]},
    {"tool": "Bash", "input": {"command": "sleep 0.2; echo done", "run_in_background": True}},
    {
        "tool": "Agent",
        "input": {
            **{"description": "helper", "prompt": HELPER},
            **{"subagent_type": "general-purpose", "run_in_background": False},
        },
    },
    {"tool": "ToolSearch", "input": {"query": "select:WebFetch,NotebookEdit"}},
]
COMPACT = {"type": "user", "message": {"role": "user", "content": "/compact"}}


class Recorder:
    """Keeps the body of each call on its way from the CLI to the proxy, and forwards it unchanged."""

    def __init__(self, proxy: ProviderProxy) -> None:
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []
        self.client = httpx.AsyncClient(base_url=proxy.url, timeout=60, verify=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        target = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        headers = [(name, value) for name, value in scope["headers"] if name not in (b"host", b"content-length")]
        answer = await self.client.request(scope["method"], target, headers=headers, content=body)
        if scope["path"] == "/v1/messages":
            self.bodies.append(body)
        self.statuses.append(answer.status_code)
        kept = [(name, value) for name, value in answer.headers.raw if name.lower() != b"transfer-encoding"]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
        await send({"type": "http.response.body", "body": answer.content})


@asynccontextmanager
async def recording(proxy: ProviderProxy) -> AsyncIterator[tuple[Recorder, str]]:
    recorder = Recorder(proxy)
    server = uvicorn.Server(uvicorn.Config(recorder, port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    yield recorder, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving
    await recorder.client.aclose()


@pytest.mark.parametrize("network", ["open", "none"])
async def test_the_pinned_clis_own_calls_pass_unchanged(
    tmp_path: Path, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[bytes] = []
    receive = MessagesEndpoint.receive

    async def keep(self: MessagesEndpoint, request: Any) -> Any:
        arrived.append(await request.body())
        return await receive(self, request)

    monkeypatch.setattr(MessagesEndpoint, "receive", keep)
    (tmp_path / "dot.png").write_bytes(DOT)
    search = [{"tool": "WebSearch", "input": {"query": "weather"}}] if network == "open" else []
    prompt = f"offline-model: {json.dumps([*STEPS, *search, {'structured': {'name': 'x'}}, {'text': 'the end'}])}"
    said = [{"type": "user", "message": {"role": "user", "content": prompt}, "client_composed": True}, COMPACT]
    settings = {"agent_network": network}
    async with (
        OfflineModel() as model,
        opened(model.url, settings=settings) as proxy,
        recording(proxy) as (recorder, url),
    ):
        lease, refused = proxy.lease("run"), list[str]()
        lease.on_refusal = refused.append
        environment = {
            **{"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "IS_SANDBOX": "1"},
            **{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", **lease.variables(), "ANTHROPIC_BASE_URL": url},
        }
        process = await asyncio.create_subprocess_exec(
            *(CLAUDE, "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
            *("--dangerously-skip-permissions", "--json-schema", json.dumps(SCHEMA)),
            cwd=tmp_path,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            printed, _ = await process.communicate("".join(f"{json.dumps(message)}\n" for message in said).encode())
    assert refused == []
    assert set(recorder.statuses) == {200}, printed.decode()[-2000:]
    assert len(recorder.bodies) > len(STEPS)
    assert sorted(recorder.bodies) == sorted(arrived)
    sent = b"".join(arrived)
    assert b'"type":"base64"' in sent
    assert b"from a helper" in sent
    assert (b"web_search_20250305" in sent) is (network == "open")
