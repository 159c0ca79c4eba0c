"""Whom a refusal is for: an error's status and type decide, and no words that a request can put there."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from far_end import NOW, Exchange, Provider, ask, error, greet, opened

from agent.provider.failures import ProviderFailure, read_trouble
from agent.provider.refusal_scope import RefusalScope, Verdict

REJECTED = {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "1767500000"}
CLAIM = "anthropic-ratelimit-unified-representative-claim"


def read(status: int, name: str, message: str, **headers: str) -> ProviderFailure | None:
    return read_trouble(status, httpx.Headers(headers), error(name, message), NOW, "claude-opus-5-5")


@pytest.mark.parametrize(
    ("status", "name", "message"),
    [
        (404, "not_found_error", "model: usage limit reached|1796464819"),
        (404, "not_found_error", "usage limit reached|1796464819"),
        (400, "invalid_request_error", "model: Your credit balance is too low"),
        (400, "invalid_request_error", "messages.0: This organization has been disabled."),
        (400, "invalid_request_error", "tools.0.name: 'quota' usage limit reached|1796464819"),
        (413, "request_too_large", "usage limit reached|1796464819"),
        (422, "invalid_request_error", "This organization has been disabled."),
    ],
)
def test_an_error_that_an_agent_worded_is_no_failure(status: int, name: str, message: str) -> None:
    assert read(status, name, message) is None


@pytest.mark.parametrize(
    ("claim", "scope", "model"),
    [
        ("seven_day_opus", "model", "opus"),
        ("seven_day_sonnet", "model", "sonnet"),
        ("five_hour", "everybody", None),
        ("seven_day", "everybody", None),
    ],
)
def test_a_usage_limit_is_for_what_its_claim_says(claim: str, scope: str, model: str | None) -> None:
    failure = read(429, "rate_limit_error", "This request would exceed your limit.", **REJECTED, **{CLAIM: claim})
    assert failure is not None
    assert (failure.kind, failure.scope, failure.model) == ("usage_limit", scope, model)
    assert failure.reset_at is not None
    assert failure.reset_at.timestamp() == 1767500000


def test_the_reset_of_the_headers_comes_before_that_of_the_words() -> None:
    failure = read(429, "rate_limit_error", "usage limit reached|1767243600", **REJECTED)
    assert failure is not None
    assert failure.reset_at is not None
    assert failure.reset_at.timestamp() == 1767500000


def test_a_long_rate_limit_is_the_models() -> None:
    failure = read(429, "rate_limit_error", "x", **{"retry-after": "3600"})
    assert failure is not None
    assert (failure.kind, failure.scope, failure.model) == ("usage_limit", "model", "claude-opus-5-5")


@pytest.mark.parametrize(
    ("status", "name", "message", "kind"),
    [
        (400, "invalid_request_error", "This organization has been disabled.", "credential_refused"),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", "usage_limit"),
        (400, "invalid_request_error", "You have reached your specified API usage limits.", "usage_limit"),
        (402, "billing_error", "x", "usage_limit"),
    ],
)
def test_what_the_provider_says_of_the_account_is_everybodys(status: int, name: str, message: str, kind: str) -> None:
    failure = read(status, name, message)
    assert failure is not None
    assert (failure.kind, failure.scope) == (kind, "everybody")


@pytest.mark.parametrize(
    ("verdict", "scopes"),
    [
        ("refused", ["everybody"]),
        ("accepted", ["request", "request", "everybody"]),
        ("unknown", ["request", "everybody"]),
        ("unreachable", ["request", "everybody"]),
    ],
)
async def test_a_refused_key_is_one_runs_own_until_it_is_seen_to_be_everybodys(
    verdict: Verdict, scopes: list[str]
) -> None:
    async def probe() -> Verdict:
        return verdict

    refused = ProviderFailure(kind="credential_refused", status=403, message="no", scope="credential")
    scope = RefusalScope(probe)
    scope.on_answer()
    assert [(await scope.confirm(f"run {number}", refused)).scope for number in range(len(scopes))] == scopes
    again = RefusalScope(probe)
    again.on_answer()
    if verdict != "refused":
        assert {(await again.confirm("one run", refused)).scope for _ in range(5)} == {"request"}
        for number in range(5):
            again.on_answer()
            assert (await again.confirm(f"run {number}", refused)).scope == "request"


async def test_a_key_that_never_worked_is_everybodys_where_a_probe_tells_nothing() -> None:
    async def probe() -> Verdict:
        return "unknown"

    refused = ProviderFailure(kind="credential_refused", status=401, message="no", scope="credential")
    assert (await RefusalScope(probe).confirm("run", refused)).scope == "everybody"


def for_one_prompt(refusal: Callable[[Exchange], Awaitable[None]]) -> Callable[[Exchange], Awaitable[None]]:
    async def answer(exchange: Exchange) -> None:
        await (refusal if b"forbidden" in exchange.body else greet)(exchange)

    return answer


async def test_one_prompt_that_is_refused_is_not_everybodys(provider: Provider) -> None:
    body = error("permission_error", "key not allowed to access model")
    provider.answer = for_one_prompt(lambda exchange: exchange.answer(403, body, content_type="application/json"))
    troubles: list[ProviderFailure] = []
    answered: list[Any] = []
    async with opened(provider.url, on_trouble=troubles.append, on_answer=answered.append) as proxy:
        lease, other = proxy.lease("run"), proxy.lease("other")
        prompt = {"model": "claude-m", "messages": [{"role": "user", "content": "forbidden"}]}
        assert (await ask(proxy, lease.token, json=prompt)).status_code == 403
        assert (await ask(proxy, other.token)).status_code == 200
        assert lease.trouble is not None
        assert lease.trouble.as_refusal().scope == "request"
        assert (await ask(proxy, lease.token)).status_code == 200
        assert lease.trouble is None
    assert [trouble.scope for trouble in troubles] == ["request"]
    assert len(answered) == 2
