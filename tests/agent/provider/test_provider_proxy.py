"""What an agent gets of the provider, and what is held back."""

import asyncio
import json
from pathlib import Path

import pytest
from far_end import CLAUDE, DELTA, END, KEY, START, USED, Exchange, Provider, ask, client, opened

from agent.domain.errors import NotConfigured
from agent.domain.result import Usage
from agent.provider.proxy import ProviderProxy
from agent.settings import AgentSettings
from demo.offline_model.model import OfflineModel


async def test_the_key_takes_the_place_of_the_token(provider: Provider, proxy: ProviderProxy) -> None:
    lease = proxy.lease("run")
    betas = "effort-2025-11-24,oauth-2025-04-20"
    answer = await ask(proxy, lease.token, headers={"anthropic-beta": betas, "cookie": "c=1", "x-app": "cli"})
    assert answer.status_code == 200
    (exchange,) = provider.exchanges
    assert exchange.line == "POST /v1/messages?beta=true HTTP/1.1"
    assert exchange.headers["x-api-key"] == KEY
    assert exchange.headers["anthropic-beta"] == "effort-2025-11-24,oauth-2025-04-20"
    assert exchange.headers["x-app"] == "cli"
    assert exchange.headers["accept-encoding"] == "identity"
    assert json.loads(exchange.body) == {"model": "claude-m"}
    assert not {"cookie", "authorization"} & set(exchange.headers)
    assert lease.token not in str(exchange.headers)


async def test_an_oauth_token_goes_as_the_cli_sends_it(provider: Provider) -> None:
    async with opened(provider.url, oauth=True) as proxy:
        lease = proxy.lease("run")
        assert lease.variables()["CLAUDE_CODE_OAUTH_TOKEN"] == lease.token
        shown = {"authorization": f"Bearer {lease.token}", "x-api-key": "", "anthropic-beta": "effort-2025-11-24"}
        assert (await ask(proxy, "", headers=shown)).status_code == 200
    (exchange,) = provider.exchanges
    assert exchange.headers["authorization"] == f"Bearer {KEY}"
    assert exchange.headers["anthropic-beta"] == "effort-2025-11-24,oauth-2025-04-20"
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


def test_without_a_credential_there_is_no_proxy() -> None:
    with pytest.raises(NotConfigured, match="ANTHROPIC_API_KEY"):
        ProviderProxy(AgentSettings())


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
        assert lease.cost_usd == pytest.approx(result["total_cost_usd"])
        assert sum(usage.output_tokens for usage in lease.usage.values()) == result["usage"]["output_tokens"]
        assert KEY in str(model.message_requests[0])
