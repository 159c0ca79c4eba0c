"""Calls that would make the provider fetch, call or run things for an agent: refused, and told."""

import json
from typing import Any

import httpx
import pytest
from far_end import Provider, ask, opened

from agent.provider.pricing import PriceTable
from agent.provider.proxy import ProviderProxy
from agent.provider.requests.model_request import ModelRequest
from agent.provider.requests.refused_call import RefusedCall
from agent.provider.requests.request_policy import RequestPolicy
from agent.settings import AgentSettings

MODEL = "claude-sonnet-5"
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def returned(block: Any) -> dict[str, Any]:
    return user({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}, block]})


REFUSED: dict[str, dict[str, Any]] = {
    "an MCP server": {"mcp_servers": [{"type": "url", "url": "https://evil.example/sse", "name": "e"}]},
    "a container": {"container": "container_01"},
    "a batch's member": {"requests": []},
    "another tier": {"service_tier": "priority"},
    "fast mode": {"speed": "fast"},
    "code execution": {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
    "an MCP toolset": {"tools": [{"type": "mcp_toolset", "mcp_server_name": "e"}]},
    "a tool of a kind that is not a word": {"tools": [{"type": ["web_search_20250305"], "name": "x"}]},
    "a tool that is none": {"tools": ["web_search"]},
    "an image by URL": user({"type": "image", "source": {"type": "url", "url": "https://evil.example/?secret"}}),
    "a document by URL": user({"type": "document", "source": {"type": "url", "url": "https://evil.example/"}}),
    "a file of the account": user({"type": "document", "source": {"type": "file", "file_id": "file_01"}}),
    "a source without a kind": user({"type": "image", "source": {"url": "https://evil.example/"}}),
    "a source with more than its content": user(
        {"type": "image", "source": {**IMAGE["source"], "url": "https://evil.example/"}}  # type: ignore[dict-item]
    ),
    "an upload to a container": user({"type": "container_upload", "file_id": "file_01"}),
    "a block that is not known": user({"type": "remote_thing"}),
    "a file's name anywhere": user({"type": "text", "text": "x", "extra": {"deep": [{"file_id": "file_01"}]}}),
    "an image by URL in a tool's result": returned({"type": "image", "source": {"type": "url", "url": "https://e/"}}),
    "an image by URL in a document": user(
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": "h"}}]},
        }
    ),
    "an image by URL in the instructions": {"system": [{"type": "image", "source": {"type": "url", "url": "h"}}]},
    "a model that is not listed": {"model": "claude-opus-99"},
    "no model": {"model": None},
    "a fallback to a model that is not listed": {"fallbacks": [{"model": "claude-opus-99"}]},
    "an adviser that is not listed": {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "x"}]},
    "a member in other letters": {"Tools": [FETCH]},
    "a thread of the account": {"thread": {"type": "existing", "id": "thread_01"}},
}

PASSED: dict[str, dict[str, Any]] = {
    "a plain call": user({"type": "text", "text": "hi"}),
    "tools of the client": {
        "tools": [
            {"name": "Bash", "input_schema": {"type": "object", "properties": {"container": {}, "file_id": {}}}},
            {"type": "custom", "name": "x", "input_schema": {}},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "tool_search_tool_regex_20251119", "name": "search"},
        ]
    },
    "an image": user(IMAGE),
    "an image in a tool's result": returned(IMAGE),
    "what a tool was given": {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "x", "signature": "y"},
                    {"type": "tool_use", "id": "t", "name": "mcp__x", "input": {"file_id": "a", "mcp_servers": [1]}},
                ],
            }
        ]
    },
    "a schema": {"output_config": {"format": {"type": "json_schema", "schema": {"properties": {"container": {}}}}}},
    "text of any kind": {"system": "mcp_servers container file_id", "messages": [{"role": "user", "content": "x"}]},
}


def check(given: dict[str, Any], *, offline: bool = False, run_model: str | None = None, **settings: Any) -> None:
    policy = RequestPolicy(AgentSettings.model_validate(settings), PriceTable())
    policy.check(ModelRequest({"model": MODEL, **given}, 0), run_model, offline=offline)


@pytest.mark.parametrize("network", ["open", "none"])
@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_what_the_provider_would_do_for_an_agent_is_refused(given: dict[str, Any], network: str) -> None:
    with pytest.raises(RefusedCall):
        check(given, agent_network=network)


@pytest.mark.parametrize("given", PASSED.values(), ids=PASSED)
def test_what_stays_inside_of_the_model_is_passed(given: dict[str, Any]) -> None:
    check(given, agent_network="none")


@pytest.mark.parametrize("tool", [SEARCH, FETCH], ids=["search", "fetch"])
def test_the_providers_search_and_fetch_go_as_far_as_the_agents_own_network(tool: dict[str, Any]) -> None:
    check({"tools": [tool]})
    with pytest.raises(RefusedCall, match="network"):
        check({"tools": [tool]}, agent_network="none")
    with pytest.raises(RefusedCall, match="network"):
        check({"tools": [tool]}, offline=True)
    listed = {"agent_network": "allow", "agent_egress_allow": ["docs.example.com", "*.example.org:443"]}
    with pytest.raises(RefusedCall, match="network"):
        check({"tools": [tool]}, **listed)
    with pytest.raises(RefusedCall, match="network"):
        check({"tools": [{**tool, "allowed_domains": ["docs.example.com", "evil.example"]}]}, **listed)
    check({"tools": [{**tool, "allowed_domains": ["docs.example.com", "a.example.org/path"]}]}, **listed)
    check({"tools": [tool]}, agent_network="allow", agent_egress_allow=["*"])


def test_a_model_is_listed_by_price_by_setting_or_by_the_run_itself() -> None:
    check({"model": "house/large-2"}, agent_models=["house/*"])
    check({"model": "my-model"}, run_model="my-model[1m]")
    for model in ("house/large-2", "my-model", "usage limit reached|1796464819"):
        with pytest.raises(RefusedCall, match="AGENT_MODELS"):
            check({"model": model})


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "claude-m", "tools": [{"type": "web_fetch_20250910"}], "tools": []}',
        b'{"model": "claude-m", "max_tokens": NaN}',
        b"[1]",
        b"not json",
        "{}".encode("utf-16"),
        b'{"model": "claude-m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["the same name twice", "NaN", "a list", "no JSON", "UTF-16", "too deep"],
)
async def test_a_body_that_two_readers_may_read_differently_is_refused(
    provider: Provider, proxy: ProviderProxy, body: bytes
) -> None:
    refused = await ask(proxy, proxy.lease("run").token, content=body, json=None)
    assert refused.status_code in (400, 403)
    assert provider.exchanges == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("DELETE", "/v1/models/claude-m", {}, 405),
        ("GET", "/v1/messages", {}, 405),
        ("POST", "/v1/models", {}, 405),
        ("POST", "/v1/messages", {"anthropic-beta": "effort-2025-11-24,files-api-2025-04-14"}, 403),
        ("POST", "/v1/messages", {"anthropic-beta": "mcp-client-2025-11-20"}, 403),
        ("POST", "/v1/messages", {"anthropic-beta": "code-execution-2025-08-25"}, 403),
        ("POST", "/v1/messages", {"content-encoding": "gzip"}, 403),
    ],
)
async def test_other_methods_and_features_are_refused(
    provider: Provider, proxy: ProviderProxy, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    shown = {"x-api-key": proxy.lease("run").token, **headers}
    async with httpx.AsyncClient(base_url=proxy.url, headers=shown, verify=False) as http:
        answer = await http.request(method, path, json={"model": "claude-m"})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")
    assert provider.exchanges == []


async def test_a_beta_header_that_comes_twice_is_read_whole(provider: Provider, proxy: ProviderProxy) -> None:
    headers = [("anthropic-beta", "files-api-2025-04-14"), ("anthropic-beta", "effort-2025-11-24")]
    assert (await ask(proxy, proxy.lease("run").token, headers=headers)).status_code == 403
    assert provider.exchanges == []


async def test_a_refusal_is_told_once_to_who_observes_the_run(provider: Provider) -> None:
    async with opened(provider.url, settings={"agent_network": "none"}) as proxy:
        lease, told = proxy.lease("run"), list[str]()
        lease.on_refusal = told.append
        for _ in range(3):
            refused = await ask(proxy, lease.token, json={"model": MODEL, "tools": [SEARCH]})
            assert refused.status_code == 403
            assert "web_search" in json.loads(refused.content)["error"]["message"]
    assert told == ["the provider's tool web_search_20250305 needs the network, and the agent's is 'none'"]
