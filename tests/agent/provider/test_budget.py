"""The budget of a run at the proxy: reserved before a call, settled after it, whatever the agent does."""

import asyncio
from typing import Any

import pytest
from far_end import END, START, Exchange, Provider, ask, client, opened, until

from agent.provider.lease import Lease
from agent.provider.proxy import ProviderProxy

LARGE = {
    "type": "message_start",
    "message": {"model": "claude-opus-5-5", "usage": {"input_tokens": 1_000_000, "output_tokens": 1}},
}
LARGE_END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 128_000}}
CALL: dict[str, Any] = {"model": "claude-opus-5-5", "max_tokens": 128_000, "stream": True, "messages": []}
DOLLARS = 4 + 0.128 * 20


async def answer_at_length(exchange: Exchange) -> None:
    await exchange.start(200, content_type="text/event-stream")
    await exchange.event(LARGE, LARGE_END)
    await exchange.end()


async def statuses(proxy: ProviderProxy, lease: Lease, times: int, call: dict[str, Any] = CALL) -> list[int]:
    answers = await asyncio.gather(*(ask(proxy, lease.token, json=call) for _ in range(times)))
    return sorted(answer.status_code for answer in answers)


async def test_a_budget_is_passed_by_one_call_at_most(provider: Provider, proxy: ProviderProxy) -> None:
    provider.answer = answer_at_length
    lease = proxy.lease("run", max_budget_usd=0.01)
    assert [(await ask(proxy, lease.token, json=CALL)).status_code for _ in range(5)] == [200, 403, 403, 403, 403]
    assert lease.cost_usd == pytest.approx(DOLLARS)


async def test_calls_at_once_count_together(provider: Provider, proxy: ProviderProxy) -> None:
    provider.answer = answer_at_length
    lease = proxy.lease("run", max_budget_usd=0.5)
    assert await statuses(proxy, lease, 20) == [200, *[403] * 19]
    assert lease.cost_usd == pytest.approx(DOLLARS)


async def test_calls_that_fit_beside_each_other_are_made_at_once(provider: Provider, proxy: ProviderProxy) -> None:
    together = asyncio.Barrier(4)

    async def answer_together(exchange: Exchange) -> None:
        async with asyncio.timeout(10):
            await together.wait()
        await exchange.start(200, content_type="text/event-stream")
        await exchange.event(START, END)
        await exchange.end()

    provider.answer = answer_together
    lease = proxy.lease("run", max_budget_usd=5)
    assert await statuses(proxy, lease, 4) == [200] * 4


async def test_a_call_that_is_hung_up_on_costs_an_estimate(provider: Provider, proxy: ProviderProxy) -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.reader.read()

    provider.answer = hang
    lease = proxy.lease("run", max_budget_usd=0.5)
    prompt = [{"role": "user", "content": "word " * 20_000}]
    for number in range(1, 4):
        asking = asyncio.create_task(ask(proxy, lease.token, json={**CALL, "messages": prompt}))
        await until(lambda count=number: len(provider.exchanges) == count, "the call is under way")
        asking.cancel()
        await until(lambda count=number: len(lease.calls) == count, "the call is booked")
        assert lease.cost_usd > number * 0.1
    assert not lease.calls[0].complete


async def test_a_call_that_never_reached_the_provider_costs_nothing() -> None:
    async with opened("http://127.0.0.1:1") as proxy:
        lease = proxy.lease("run", max_budget_usd=0.5)
        assert (await ask(proxy, lease.token, json=CALL)).status_code == 502
        assert (lease.cost_usd, lease.calls) == (0, [])


async def test_a_call_that_waits_for_the_budget_ends_with_the_run(provider: Provider, proxy: ProviderProxy) -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.reader.read()

    provider.answer = hang
    lease = proxy.lease("run", max_budget_usd=0.5)
    first = asyncio.create_task(ask(proxy, lease.token, json=CALL))
    await until(lambda: provider.exchanges, "the first call is under way")
    second = asyncio.create_task(ask(proxy, lease.token, json=CALL))
    await until(lambda: lease.open_calls == 2, "the second call waits")
    await lease.finish()
    assert {(await first).status_code, (await second).status_code} <= {401, 403}
    assert len(provider.exchanges) == 1


async def test_an_unlisted_model_costs_as_much_as_the_dearest(provider: Provider, proxy: ProviderProxy) -> None:
    lease = proxy.lease("run", model="house-model")
    await ask(proxy, lease.token, json={**CALL, "model": "house-model"})
    # 7 read, 5 from the cache, 42 written, at 15, 1.5 and 75 dollars a million
    assert lease.cost_usd == pytest.approx((7 * 15 + 5 * 1.5 + 42 * 75) / 1e6)


async def test_the_open_calls_of_a_run_are_bounded(provider: Provider, proxy: ProviderProxy) -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.reader.read()

    provider.answer = hang
    lease, other = proxy.lease("run"), proxy.lease("other")
    asking = [asyncio.create_task(ask(proxy, lease.token, json=CALL)) for _ in range(32)]
    await until(lambda: len(provider.exchanges) == 32, "all are under way")
    refused = await ask(proxy, lease.token, json=CALL)
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")
    more = asyncio.create_task(ask(proxy, other.token, json=CALL))
    await until(lambda: len(provider.exchanges) == 33, "another run is served")
    await asyncio.gather(lease.finish(), other.finish())
    await asyncio.gather(*asking, more)
    assert (lease.traffic.open_calls, lease.traffic.bytes) == (0, 0)


async def test_the_bytes_of_a_run_in_memory_are_bounded(provider: Provider, proxy: ProviderProxy) -> None:
    lease = proxy.lease("run")
    part = b"x" * 1_000_000
    held = asyncio.Event()

    async def slowly() -> Any:
        for _ in range(30):
            yield part
        await held.wait()

    async with client(proxy, lease.token) as http:
        sending = [asyncio.create_task(http.post("/v1/messages", content=slowly())) for _ in range(3)]
        await until(lambda: lease.traffic.open_calls == 3, "three long requests come in")
        await until(lambda: lease.traffic.bytes in (60_000_000, 30_000_000), "one of them did not fit")
        assert lease.traffic.bytes <= 64 * 1024 * 1024
        held.set()
        answers = await asyncio.gather(*sending)
    assert sorted(answer.status_code for answer in answers)[-1] == 429
