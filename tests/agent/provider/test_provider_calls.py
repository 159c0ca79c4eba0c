"""Calls to the provider that break off, fail, or are cut."""

import asyncio
from pathlib import Path

import httpx
import pytest
from far_end import DELTA, KEY, START, Exchange, Provider, ask, client, opened, until

from agent.provider.failures import ProviderFailure
from agent.provider.proxy import ProviderProxy


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
    troubles: list[ProviderFailure] = []
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
    troubles: list[ProviderFailure] = []
    async with opened(provider.url, on_trouble=troubles.append) as proxy:
        lease = proxy.lease("run")
        answer = await ask(proxy, lease.token)
    assert (answer.status_code, answer.content) == (401, body)
    assert answer.headers["x-should-retry"] == "false"
    assert troubles == [ProviderFailure(kind="credential_refused", status=401, message="invalid x-api-key")]
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
    assert asyncio.get_running_loop().time() - before < 8  # the call would last for ever
    with pytest.raises(AssertionError):
        assert (await asking).status_code == 200
