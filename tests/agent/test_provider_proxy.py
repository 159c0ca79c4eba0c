import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.errors import NotConfigured
from agent.models import Usage
from agent.provider import ProviderProxy
from agent.settings import AgentSettings
from agent.trouble import Trouble, read_trouble
from demo.model import OfflineModel

CLAUDE = Path(str(files("claude_agent_sdk") / "_bundled" / "claude"))
KEY = "sk-the-true-key"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

START = {
    "type": "message_start",
    "message": {"model": "claude-m", "usage": {"input_tokens": 7, "cache_read_input_tokens": 5, "output_tokens": 1}},
}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'say "usage"'}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 42}}
USED = Usage(input_tokens=7, cache_read_input_tokens=5, output_tokens=42)

Answer = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request at the far end, and the means to answer it byte by byte."""

    def __init__(self, head: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line, *lines = head.split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        self.body = body
        self.reader = reader
        self.writer = writer

    async def start(self, status: int, **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([f"HTTP/1.1 {status} X", *lines, "transfer-encoding: chunked\r\n\r\n"]).encode())
        await self.writer.drain()

    async def chunk(self, content: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(content), content))
        await self.writer.drain()

    async def event(self, *events: dict[str, Any]) -> None:
        for event in events:
            await self.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def answer(self, status: int, body: bytes, **headers: str) -> None:
        await self.start(status, **headers)
        await self.chunk(body)
        await self.end()


class Provider:
    """A far end that answers each request as `answer` does, and keeps what came in."""

    def __init__(self) -> None:
        self.answer: Answer = greet
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((line.split()[1] for line in head.split("\r\n") if "content-length" in line.lower()), "0")
                exchange = Exchange(head, await reader.readexactly(int(length)), reader, writer)
                self.exchanges.append(exchange)
                await self.answer(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def greet(exchange: Exchange) -> None:
    await exchange.start(200, content_type="text/event-stream", request_id="req_1")
    await exchange.event(START, DELTA, END, {"type": "message_stop"})
    await exchange.end()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield provider


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[ProviderProxy]:
    credential = {"anthropic_api_key": KEY} if "oauth" not in options else {"claude_code_oauth_token": KEY}
    options.pop("oauth", None)
    settings = AgentSettings.model_validate({"anthropic_base_url": url, **credential})
    async with ProviderProxy(settings, **options) as proxy:
        yield proxy


@pytest.fixture
async def proxy(provider: Provider) -> AsyncIterator[ProviderProxy]:
    async with opened(provider.url) as proxy:
        yield proxy


@asynccontextmanager
async def client(proxy: ProviderProxy, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, headers={"x-api-key": token}, timeout=10) as client:
        yield client


async def ask(proxy: ProviderProxy, token: str, path: str = "/v1/messages?beta=true", **options: Any) -> httpx.Response:
    async with client(proxy, token) as http:
        return await http.post(path, **({"json": {"model": "claude-m"}} | options))


async def until(condition: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
        return
    raise AssertionError(what)


async def test_the_key_takes_the_place_of_the_token(provider: Provider, proxy: ProviderProxy) -> None:
    lease = proxy.lease("run")
    answer = await ask(proxy, lease.token, headers={"anthropic-beta": "a,b", "cookie": "c=1", "x-app": "cli"})
    assert answer.status_code == 200
    (exchange,) = provider.exchanges
    assert exchange.line == "POST /v1/messages?beta=true HTTP/1.1"
    assert exchange.headers["x-api-key"] == KEY
    assert exchange.headers["anthropic-beta"] == "a,b"
    assert exchange.headers["x-app"] == "cli"
    assert exchange.headers["accept-encoding"] == "identity"
    assert json.loads(exchange.body) == {"model": "claude-m"}
    assert not {"cookie", "authorization"} & set(exchange.headers)
    assert lease.token not in str(exchange.headers)


async def test_an_oauth_token_goes_as_the_cli_sends_it(provider: Provider) -> None:
    async with opened(provider.url, oauth=True) as proxy:
        lease = proxy.lease("run")
        assert lease.variables()["CLAUDE_CODE_OAUTH_TOKEN"] == lease.token
        shown = {"authorization": f"Bearer {lease.token}", "x-api-key": "", "anthropic-beta": "a"}
        assert (await ask(proxy, "", headers=shown)).status_code == 200
    (exchange,) = provider.exchanges
    assert exchange.headers["authorization"] == f"Bearer {KEY}"
    assert exchange.headers["anthropic-beta"] == "a,oauth-2025-04-20"
    assert "x-api-key" not in exchange.headers


async def test_the_cli_is_told_that_it_speaks_with_the_provider_itself_when_it_does(provider: Provider) -> None:
    flag = "_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL"
    async with opened(provider.url) as proxy:
        assert flag not in proxy.lease("run").variables()
    settings = AgentSettings.model_validate({"anthropic_api_key": KEY})
    async with ProviderProxy(settings) as proxy:
        assert proxy.lease("run").variables()[flag] == "1"


async def test_an_answer_comes_back_byte_for_byte_as_it_comes(provider: Provider, proxy: ProviderProxy) -> None:
    go_on = asyncio.Event()

    async def hesitate(exchange: Exchange) -> None:
        await exchange.start(200, content_type="text/event-stream", request_id="req_1", set_cookie="a=b")
        await exchange.chunk(b"event: x\ndata: half a li")
        await go_on.wait()
        await exchange.chunk(b"ne\n\n\xff\x00")
        await exchange.end()

    provider.answer = hesitate
    async with client(proxy, proxy.lease("run").token) as http, http.stream("POST", "/v1/messages") as answer:
        parts = answer.aiter_raw()
        assert await anext(parts) == b"event: x\ndata: half a li"
        go_on.set()
        assert b"".join([part async for part in parts]) == b"ne\n\n\xff\x00"
        assert answer.headers["request-id"] == "req_1"
        assert "set-cookie" not in answer.headers


async def test_connections_to_the_provider_are_kept(provider: Provider, proxy: ProviderProxy) -> None:
    lease = proxy.lease("run")
    for _ in range(3):
        await ask(proxy, lease.token)
    assert provider.connections == 1


async def test_a_streamed_call_is_metered(provider: Provider, proxy: ProviderProxy) -> None:
    lease = proxy.lease("run")
    await ask(proxy, lease.token)
    await ask(proxy, lease.token)
    call = lease.calls[0]
    assert (call.model, call.status, call.usage, call.complete) == ("claude-m", 200, USED, True)
    assert lease.usage["claude-m"].output_tokens == 84


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_call_is_metered_wherever_its_chunks_break(provider: Provider, proxy: ProviderProxy, size: int) -> None:
    async def crumble(exchange: Exchange) -> None:
        whole = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in (START, DELTA, END))
        await exchange.start(200, content_type="text/event-stream; charset=utf-8")
        for start in range(0, len(whole), size):
            await exchange.chunk(whole[start : start + size])
        await exchange.end()

    provider.answer = crumble
    lease = proxy.lease("run")
    await ask(proxy, lease.token)
    assert lease.calls[0].usage == USED


async def test_a_call_answered_in_one_piece_is_metered(provider: Provider, proxy: ProviderProxy) -> None:
    body = {"type": "message", "model": "claude-m", "usage": {"input_tokens": 3, "output_tokens": 4}}
    provider.answer = lambda exchange: exchange.answer(200, json.dumps(body).encode(), content_type="application/json")
    lease = proxy.lease("run")
    assert (await ask(proxy, lease.token)).json() == body
    assert lease.calls[0].usage == Usage(input_tokens=3, output_tokens=4)


async def test_a_run_whose_budget_is_spent_is_not_served_again(provider: Provider) -> None:
    async with opened(provider.url, price=lambda model, usage: usage.output_tokens / 100) as proxy:
        lease = proxy.lease("run", max_budget_usd=0.4)
        assert (await ask(proxy, lease.token)).status_code == 200
        assert lease.cost_usd == pytest.approx(0.42)
        refused = await ask(proxy, lease.token)
    assert refused.status_code == 403
    assert refused.headers["x-should-retry"] == "false"
    assert len(provider.exchanges) == 1


@pytest.mark.parametrize("token", ["", "sk-ant-run-guess", KEY, "sk-ant-\xe4"])
async def test_a_token_that_is_none_is_refused_for_good(provider: Provider, proxy: ProviderProxy, token: str) -> None:
    proxy.lease("run")
    refused = await ask(proxy, "", headers={"x-api-key": token.encode("latin-1")}, content=b"x" * 500_000)
    assert refused.status_code == 401
    assert refused.headers["x-should-retry"] == "false"
    assert refused.json()["error"]["type"] == "authentication_error"
    assert provider.exchanges == []


async def test_a_token_is_worthless_once_its_run_is_over(provider: Provider, proxy: ProviderProxy) -> None:
    lease, other = proxy.lease("run"), proxy.lease("other")
    lease.close()
    assert (await ask(proxy, lease.token)).status_code == 401
    assert (await ask(proxy, other.token)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/files", "/v1/messages/batches", "/v1/organizations", "/api/oauth/profile", "/", "/metrics"),
        *("/v1/messages/../files", "/v1/messages%2fbatches", "/v1/models/..", "/v1//messages"),
    ],
)
async def test_the_rest_of_the_account_is_out_of_reach(provider: Provider, proxy: ProviderProxy, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    token = proxy.lease("run").token
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {token}\r\nconnection: close\r\n\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 404")
    writer.close()
    assert provider.exchanges == []


async def test_a_call_is_broken_off_when_its_lease_is_cut(provider: Provider, proxy: ProviderProxy) -> None:
    left = asyncio.Event()

    async def go_on_for_ever(exchange: Exchange) -> None:
        await exchange.start(200, content_type="text/event-stream")
        await exchange.event(START, DELTA)
        await exchange.reader.read()
        left.set()

    provider.answer = go_on_for_ever
    lease = proxy.lease("run")
    async with client(proxy, lease.token) as http, http.stream("POST", "/v1/messages") as answer:
        parts = answer.aiter_raw()
        await anext(parts)
        lease.cut()
        with pytest.raises(httpx.TransportError):
            [part async for part in parts]
    async with asyncio.timeout(10):
        await left.wait()
    await until(lambda: lease.calls, "the call is booked")
    assert not lease.calls[0].complete
    assert lease.calls[0].usage.input_tokens == 7
    assert lease.open_calls == 0
    assert (await ask(proxy, lease.token)).status_code == 401


async def test_a_call_that_has_not_been_answered_yet_can_be_cut(provider: Provider, proxy: ProviderProxy) -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.reader.read()

    provider.answer = hang
    lease = proxy.lease("run")
    asking = asyncio.create_task(ask(proxy, lease.token))
    await until(lambda: lease.open_calls, "the call is under way")
    lease.cut()
    assert (await asking).status_code == 401


async def test_when_the_agent_hangs_up_so_do_we(provider: Provider, proxy: ProviderProxy) -> None:
    left = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        await exchange.start(200, content_type="text/event-stream")
        await exchange.event(START)
        await exchange.reader.read()
        left.set()

    provider.answer = hang
    lease = proxy.lease("run")
    async with client(proxy, lease.token) as http, http.stream("POST", "/v1/messages") as answer:
        await anext(answer.aiter_raw())
    async with asyncio.timeout(10):
        await left.wait()
    await until(lambda: lease.calls, "the call is booked")
    assert not lease.calls[0].complete


async def test_an_answer_that_breaks_off_does_not_look_whole(provider: Provider, proxy: ProviderProxy) -> None:
    async def break_off(exchange: Exchange) -> None:
        await exchange.start(200, content_type="text/event-stream")
        await exchange.event(START)
        exchange.writer.transport.abort()

    provider.answer = break_off
    lease = proxy.lease("run")
    with pytest.raises(httpx.TransportError):
        await ask(proxy, lease.token)
    await until(lambda: lease.trouble, "the trouble is noted")
    assert lease.trouble is not None
    assert lease.trouble.kind == "unreachable"


async def test_a_provider_out_of_reach_is_reported_and_can_be_tried_again() -> None:
    troubles: list[Trouble] = []
    async with opened("http://127.0.0.1:1", on_trouble=troubles.append) as proxy:
        lease = proxy.lease("run")
        answer = await ask(proxy, lease.token)
    assert answer.status_code == 502
    assert "x-should-retry" not in answer.headers
    assert answer.json()["error"]["type"] == "api_error"
    assert [trouble.kind for trouble in troubles] == ["unreachable"]


async def test_an_error_is_passed_on_and_a_refused_key_not_tried_for_minutes(provider: Provider) -> None:
    body = b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'
    provider.answer = lambda exchange: exchange.answer(401, body, content_type="application/json")
    troubles: list[Trouble] = []
    async with opened(provider.url, on_trouble=troubles.append) as proxy:
        lease = proxy.lease("run")
        answer = await ask(proxy, lease.token)
    assert (answer.status_code, answer.content) == (401, body)
    assert answer.headers["x-should-retry"] == "false"
    assert troubles == [Trouble(kind="credential_refused", status=401, message="invalid x-api-key")]
    assert lease.trouble == troubles[0]
    assert KEY not in str(troubles)


async def test_an_error_in_the_midst_of_an_answer_is_noted(provider: Provider, proxy: ProviderProxy) -> None:
    async def stumble(exchange: Exchange) -> None:
        await exchange.start(200, content_type="text/event-stream")
        await exchange.event(START, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        await exchange.end()

    provider.answer = stumble
    lease = proxy.lease("run")
    assert (await ask(proxy, lease.token)).status_code == 200
    assert lease.trouble is not None
    assert (lease.trouble.kind, lease.trouble.message) == ("overloaded", "Overloaded")


async def test_agents_without_a_network_come_in_through_a_socket(provider: Provider, tmp_path: Path) -> None:
    path = tmp_path / "provider.sock"
    async with opened(provider.url, socket_path=path) as proxy:
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        shown = {"x-api-key": proxy.lease("run").token}
        async with httpx.AsyncClient(transport=transport, base_url="http://provider", headers=shown) as http:
            assert (await http.post("/v1/messages", json={})).status_code == 200
        assert path.stat().st_mode & 0o777 == 0o600


async def test_the_end_of_the_proxy_waits_for_nobody(provider: Provider) -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.reader.read()

    provider.answer = hang
    async with opened(provider.url) as proxy:
        asking = asyncio.create_task(ask(proxy, proxy.lease("run").token))
        await until(lambda: provider.exchanges, "the call is under way")
        before = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - before < 3
    with pytest.raises(AssertionError):
        assert (await asking).status_code == 200


def test_without_a_credential_there_is_no_proxy() -> None:
    with pytest.raises(NotConfigured, match="ANTHROPIC_API_KEY"):
        ProviderProxy(AgentSettings())


def error(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "reset"),
    [
        (403, {}, error("permission_error", "This organization has been disabled."), "credential_refused", None),
        (529, {}, error("overloaded_error", "Overloaded"), "overloaded", None),
        (503, {"retry-after": "5"}, b"<html>upstream</html>", "overloaded", NOW + timedelta(seconds=5)),
        (429, {"retry-after": "3"}, error("rate_limit_error", "slow down"), "overloaded", NOW + timedelta(seconds=3)),
        (429, {"retry-after": "3600"}, error("rate_limit_error", "x"), "usage_limit", NOW + timedelta(hours=1)),
        (
            429,
            {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "1767243600"},
            error("rate_limit_error", "This request would exceed your account's rate limit."),
            "usage_limit",
            NOW + timedelta(hours=5),
        ),
        (
            429,
            {
                "retry-after": "20",
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:20Z",
                "anthropic-ratelimit-requests-remaining": "9",
                "anthropic-ratelimit-requests-reset": "2026-01-01T09:00:00Z",
            },
            error("rate_limit_error", "x"),
            "overloaded",
            NOW + timedelta(seconds=20),
        ),
        (
            429,
            {},
            error("rate_limit_error", "Claude AI usage limit reached|1767243600"),
            "usage_limit",
            NOW + timedelta(hours=5),
        ),
        (
            400,
            {},
            error(
                "invalid_request_error",
                "You have reached your specified API usage limits. You will regain access on 2026-02-01 at 00:00 UTC.",
            ),
            "usage_limit",
            datetime(2026, 2, 1, tzinfo=UTC),
        ),
        (400, {}, error("invalid_request_error", "Your credit balance is too low"), "usage_limit", None),
        (402, {}, error("billing_error", "x"), "usage_limit", None),
    ],
)
def test_trouble_is_told_apart(
    status: int, headers: dict[str, str], body: bytes, kind: str, reset: datetime | None
) -> None:
    trouble = read_trouble(status, httpx.Headers(headers), body, NOW)
    assert trouble is not None
    assert (trouble.kind, trouble.reset_at) == (kind, reset)
    assert trouble.message


@pytest.mark.parametrize("status", [200, 400, 404, 413])
def test_what_the_caller_did_wrong_is_no_trouble(status: int) -> None:
    assert read_trouble(status, httpx.Headers(), error("invalid_request_error", "prompt is too long"), NOW) is None


@pytest.mark.parametrize("oauth", [False, True], ids=["api-key", "oauth-token"])
async def test_the_real_cli_works_through_the_proxy_and_never_has_the_key(tmp_path: Path, oauth: bool) -> None:
    steps = [{"tool": "Bash", "input": {"command": "env"}}, {"text": "{tool_result}"}]
    async with OfflineModel() as model, opened(model.url, **({"oauth": True} if oauth else {})) as proxy:
        lease = proxy.lease("run")
        environment = {
            **{"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "IS_SANDBOX": "1"},
            **{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", **lease.variables()},
        }
        process = await asyncio.create_subprocess_exec(
            *(CLAUDE, "-p", "--output-format", "json", "--dangerously-skip-permissions"),
            cwd=tmp_path,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            printed, _ = await process.communicate(f"offline-model: {json.dumps(steps)}".encode())
        result = json.loads(printed)
        assert not result["is_error"]
        # The CLI keeps an OAuth token from its tools' environment, but not a key.
        assert oauth or lease.token in result["result"]
        assert KEY not in result["result"]
        assert len(lease.calls) == 2
        assert sum(usage.output_tokens for usage in lease.usage.values()) == result["usage"]["output_tokens"]
        assert KEY in str(model.message_requests[0])
