"""Judges the calls of agents: what the pinned CLI sends for what an agent may do is passed on, all else refused.

The provider can fetch, call and run things for whoever asks it, with the operator's key: that is a way out of the
sandbox, and around AGENT_NETWORK. So each member, tool, content block, source, beta and model is on a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from agent.provider.pricing import PriceTable
from agent.provider.requests.content_rules import refuse_content
from agent.provider.requests.model_request import ModelRequest
from agent.provider.requests.refused_call import RefusedCall
from agent.settings import AgentSettings

MESSAGES = re.compile(rb"/v1/messages(/count_tokens)?")
MODELS = re.compile(rb"/v1/models(/\w[\w.@:-]*)?")
HELLO = re.compile(rb"/api/hello")

MEMBERS = frozenset(
    (
        *("betas", "cache_control", "context_hint", "context_management", "diagnostics"),
        *("fallback_credit_token", "fallbacks", "inference_geo", "max_tokens", "messages", "metadata"),
        *("model", "output_config", "output_format", "safeguards", "service_tier", "speed", "stop_sequences"),
        *("stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p"),
    )
)
"""Members of a request that the pinned CLI (2.1.330) sends, and those of the API that stay inside of the model."""

BETAS = frozenset(
    (
        *("advanced-tool-use", "advisor-tool", "afk-mode", "auto-mode-classifier", "cache-diagnosis"),
        *("cache-keepalive", "claude-code", "claude-code-side-query", "context-1m", "context-hint"),
        *("context-management", "dangerous-tool-use", "effort", "extended-cache-ttl", "fallback-credit"),
        *("fine-grained-tool-streaming", "inline-tools", "interleaved-thinking", "message-threads"),
        *("mid-conversation-system", "mid-conversation-system-clear-at", "mid-conversation-tool-changes"),
        *("oauth", "per-turn-control", "program-use-case-ids", "prompt-caching", "prompt-caching-evict"),
        *("prompt-caching-scope", "redact-thinking", "request-tags", "resumption", "server-side-fallback"),
        *("structured-outputs", "summarize-connector-text", "task-budgets", "thinking-binding-controls"),
        *("thinking-display-updates", "thinking-resumption", "thinking-token-count", "timing"),
        *("token-counting", "token-efficient-tools", "tool-examples", "tool-provenance", "tool-search-tool"),
        *("web-fetch", "web-search", "web-search-results-only"),
    )
)
"""Beta features without their date. Not here: files, containers, MCP servers, other models, other accounts' things."""

_BETA_DATE = re.compile(r"-20\d\d-?\d\d-?\d\d$")
_REFUSED_HEADERS = frozenset({b"content-encoding", b"x-http-method-override", b"x-http-method", b"x-method-override"})
_TIERS = frozenset({None, "auto", "standard_only"})
_SEARCHES = ("web_search_", "web_fetch_")
_ADVISOR = re.compile(r"advisor_20\d{6}")
_OF_THE_CLIENT = re.compile(r"(custom|(bash|text_editor|memory|computer|tool_search_tool_\w+)(_20\d{6})?)")


class RequestPolicy:
    """What the agents of a host may ask the provider for; made once from its settings."""

    def __init__(self, settings: AgentSettings, prices: PriceTable) -> None:
        self._prices = prices
        self._models = tuple(settings.agent_models)
        self._network = settings.agent_network
        self._listed = tuple(entry.removesuffix(":443") for entry in settings.agent_egress_allow)

    def check_target(self, method: str, path: bytes) -> None:
        """Raise RefusedCall for a path or a method that is not for agents."""
        if not any(known.fullmatch(path) for known in (MESSAGES, MODELS, HELLO)):
            raise RefusedCall("this path is not for agents", status=404)
        allowed = ("POST",) if MESSAGES.fullmatch(path) else ("GET", "HEAD")
        if method not in allowed:
            raise RefusedCall(f"the method {method[:20]} is not for agents here", status=405)

    def check_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise RefusedCall for a beta feature that is not listed, or a body that cannot be read."""
        for name, value in headers:  # one by one: the same name may come twice, and the provider reads both
            if name in _REFUSED_HEADERS:
                raise RefusedCall(f"the header {name.decode()} is not for agents")
            if name == b"anthropic-beta":
                self._check_betas(value.decode("latin-1").split(","))

    def check(self, request: ModelRequest, run_model: str | None, *, offline: bool = False) -> None:
        """Raise RefusedCall for a member, tool, source or model that is not listed; `run_model` is the run's own.

        The provider's own search and fetch are refused to an `offline` run.
        """
        body = request.body
        if not body:
            return
        _refuse_unlisted(body, MEMBERS, "the member")
        self._check_model(body.get("model"), run_model)
        for fallback in body["fallbacks"] if isinstance(body.get("fallbacks"), list) else []:
            self._check_model(fallback.get("model") if isinstance(fallback, dict) else None, run_model)
        if body.get("speed", "standard") not in (None, "standard"):
            raise RefusedCall("a speed other than standard is not for agents")
        if body.get("service_tier") not in _TIERS:
            raise RefusedCall("this service_tier is not for agents")
        if body.get("inference_geo") not in (None, "global", "us", ""):
            raise RefusedCall("this inference_geo is not for agents")
        if isinstance(betas := body.get("betas"), list):
            self._check_betas(str(beta) for beta in betas)
        refuse_content(body, partial(self._check_tool, network="none" if offline else self._network))

    def _check_model(self, name: object, run_model: str | None) -> None:
        if not isinstance(name, str) or not name:
            raise RefusedCall("a request names its model")
        is_own = run_model is not None and name in (run_model, run_model.removesuffix("[1m]"))
        if not (is_own or self._prices.knows(name) or any(fnmatchcase(name, one) for one in self._models)):
            raise RefusedCall(f"the model {name[:100]} is not listed; AGENT_MODELS adds it", status=404)

    def _check_betas(self, betas: Iterable[str]) -> None:
        for beta in betas:
            if (name := beta.strip()) and _BETA_DATE.sub("", name) not in BETAS:
                raise RefusedCall(f"the beta feature {name[:60]} is not for agents")

    def _check_tool(self, tool: Mapping[str, Any], network: str) -> None:
        kind = tool.get("type")
        if kind is None or (isinstance(kind, str) and _OF_THE_CLIENT.fullmatch(kind)):
            return
        if isinstance(kind, str) and _ADVISOR.fullmatch(kind):
            self._check_model(tool.get("model"), None)
            return
        if isinstance(kind, str) and kind.startswith(_SEARCHES):
            self._check_search(kind, tool, network)
            return
        raise RefusedCall(f"the provider's tool {str(kind)[:60]} is not for agents")

    def _check_search(self, kind: str, tool: Mapping[str, Any], network: str) -> None:
        # the provider's own search and fetch reach the network: as far as the agent itself may, and no further
        if network == "open" or (network == "allow" and "*" in self._listed):
            return
        domains = tool.get("allowed_domains")
        is_listed = isinstance(domains, list) and domains and all(self._lists(domain) for domain in domains)
        if network == "none" or not is_listed:
            raise RefusedCall(f"the provider's tool {kind[:60]} needs the network, and the agent's is {network!r}")

    def _lists(self, domain: object) -> bool:
        host = domain.partition("/")[0].lower() if isinstance(domain, str) else ""
        return any(host == entry or (entry.startswith("*.") and host.endswith(entry[1:])) for entry in self._listed)


def _refuse_unlisted(given: Mapping[str, Any], listed: frozenset[str], what: str) -> None:
    for name in given:
        if name not in listed:
            raise RefusedCall(f"{what} {name[:60]} is not for agents")
