"""Settings of the HTTP API."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from agent.domain.values import Frozen, Name
from agent.settings import Names, read_list, strip


def check_origin(origin: str) -> str:
    """Return an origin without a slash at its end. Raises ValueError for what a browser would never send."""
    origin = origin.removesuffix("/")
    if origin not in ("*", "null") and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin):
        raise ValueError(f"{origin!r} is not an origin: SCHEME://HOST or SCHEME://HOST:PORT, in small letters, or *")
    return origin


Origin = Annotated[str, AfterValidator(check_origin)]


class ApiSettings(Frozen):
    """The settings of the API; each field is an environment variable of the same name in capitals."""

    api_host: str = Field(default="127.0.0.1", description="The address to listen on; a container sets 0.0.0.0.")
    api_port: int = Field(default=8080, ge=0, le=65_535, description="The port to listen on.")
    api_bearer_token: Annotated[SecretStr, BeforeValidator(strip)] | None = Field(
        default=None,
        description="What callers send as `Authorization: Bearer TOKEN`; unset: `up` creates one.",
    )
    api_cors_origins: Annotated[list[Origin], BeforeValidator(read_list)] = Field(
        default=[],
        description="Origins whose pages may call the API from a browser: `https://chat.example.org`, "
        "`app://obsidian.md`, or `*` for all; they send the token like any caller.",
    )
    metrics_open: bool = Field(default=False, description="Answer /metrics without the token.")
    legacy_error_bodies: bool = Field(
        default=False, description="Make `error` under /v1 a bare string instead of OpenAI's object."
    )
    supported_models: Names = Field(
        default=["claude-haiku-4-5", "claude-opus-4-7", "claude-sonnet-4-6", "haiku", "opus", "sonnet"],
        min_length=1,
        description="The models that chat callers may ask for.",
    )
    supported_models_from_cli: bool = Field(
        default=False,
        description="Let chat callers also ask for each model that the pinned CLI lists; a host asks it at its start.",
    )
    default_model: Name = Field(
        default="claude-sonnet-4-6", description="The model of chat callers who ask for none; they may name it, too."
    )
    openai_compat_agent: Name | None = Field(
        default=None,
        description="The agent that answers chat callers; unset: `recruiter-triage` if the default workspace has an "
        "agent of that name, else `general-purpose`, which the CLI brings along.",
    )
    openai_compat_agents: Annotated[list[Name], BeforeValidator(read_list)] = Field(
        default=[], description="Further agents that chat callers may choose, as `model`: AGENT or AGENT/MODEL."
    )
    openai_compat_reasoning: bool = Field(
        default=False, description="Put thinking and tool steps into chat answers, as `reasoning_content`."
    )
    openai_compat_budget_usd: float = Field(
        default=2.0, gt=0, allow_inf_nan=False, description="The budget of one chat completion, in US dollars."
    )
    openai_compat_timeout_seconds: int = Field(
        default=900, ge=1, description="The time limit of one chat completion, in seconds."
    )
    queue_wait_seconds: float = Field(
        default=120.0, ge=0, allow_inf_nan=False, description="The most seconds that a chat caller waits for a slot."
    )
    caller_grace_seconds: float = Field(
        default=2.0,
        ge=0,
        le=60,
        description="Seconds that a run goes on after its chat caller has disconnected; the caller may return for it.",
    )
    repeat_failure_seconds: float = Field(
        default=60.0,
        ge=0,
        le=3600,
        description="How long the same request of the same chat caller gets the failure of its paid run again, without "
        "a new run; 0: never.",
    )
    openai_compat_failure_status: int = Field(
        default=503,
        ge=400,
        le=599,
        description="The status under /v1 for a run whose agent started and failed; 400 stops clients that repeat "
        "a 503.",
    )
    fetch_image_urls: bool = Field(
        default=False, description="Let chat callers name images by http(s) URL, at public addresses only."
    )
    max_request_bytes: int = Field(
        default=32 * 1024 * 1024, ge=1024, description="The largest request body; a longer one is answered with 413."
    )
