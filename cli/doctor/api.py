"""Checks of the API: its token and its port."""

from __future__ import annotations

from typing import Any

import httpx

from agent.system.http import http_origin
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, warning
from cli.doctor.ports import is_free, is_loopback, listener
from deployments.standalone.prefect_server import CannotListen

TIMEOUT_SECONDS = 4.0
MIN_TOKEN_LENGTH = 16
STALE_SECONDS = 120.0
"""Each watch of a host looks once a minute at least."""
NEW_TOKEN = "export API_BEARER_TOKEN=$(openssl rand -hex 32)"


async def check_token(world: DoctorContext) -> list[Finding]:
    """Check that a token is set and hard to guess."""
    token = world.token
    if not token:
        text = "API_BEARER_TOKEN is not set: the first `agent-service up` creates one and shows it once"
        return [warning("token", text, f"start the service, or {NEW_TOKEN}")]
    if len(token) >= MIN_TOKEN_LENGTH and len(set(token)) >= MIN_TOKEN_LENGTH // 2:
        return [ok("token", "API_BEARER_TOKEN is set")]
    what = "API_BEARER_TOKEN can be guessed"
    if is_loopback(world.api.api_host):
        return [warning("token", what, NEW_TOKEN)]
    return [broken("token", f"{what}, and API_HOST={world.api.api_host} is open to others", NEW_TOKEN)]


async def check_api(world: DoctorContext) -> list[Finding]:
    """Check that the port is free, or that the service there takes this token."""
    host, port = world.api.api_host, world.api.api_port
    url = http_origin(host, port)
    try:
        if is_free(host, port):
            return [ok("api", f"{host}:{port} is free; `agent-service up` starts the service there")]
    except CannotListen as error:
        return [broken("api", f"nothing can listen on {host}:{port}: {error.reason}", "correct API_HOST and API_PORT")]
    try:
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            health = _health(await client.get("/health"))
            if health is not None:
                return [await _ours(client, world, url, health)]
    except httpx.HTTPError:
        pass
    mend = f"stop that program, or use another port: export API_PORT={port + 1}"
    return [broken("api", f"{host}:{port} is taken by {listener(port)}", mend)]


def _health(answer: httpx.Response) -> dict[str, Any] | None:
    """Return the /health of our service; None if the answer is another program's."""
    try:
        said = answer.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) and {"busy", "capacity"} <= said.keys() else None


async def _ours(client: httpx.AsyncClient, world: DoctorContext, url: str, health: dict[str, Any]) -> Finding:
    if world.token and await _is_refused(client, world.token):
        mend = f"use the token that it was started with, or another port: export API_PORT={world.api.api_port + 1}"
        return broken("api", f"the service at {url} does not know this API_BEARER_TOKEN", mend)
    ready = (await client.get("/ready")).json()
    if ready.get("status") != "ready":
        return warning("api", f"the service at {url} runs, and is not ready: {ready.get('detail')}", "look at its log")
    if health.get("paused"):
        return warning("api", f"the service at {url} runs, and agents are paused", "agent-service resume")
    if health.get("held"):
        held = health["held"]
        text = f"the service at {url} starts no agent until {held['until']}: {held['reason']}"
        return warning("api", text, "wait, or set another credential and restart the service")
    if health.get("disk"):
        return warning("api", f"the service at {url} takes no work: the disk is nearly full", "free some space (df -h)")
    if stale := {name: age for name, age in health.get("watches", {}).items() if age > STALE_SECONDS}:
        name = max(stale, key=lambda one: stale[one])
        text = f"the service at {url} has not read its {name} in Prefect for {stale[name]:.0f} s"
        return warning("api", text, "look at its log; is Prefect reachable from it?")
    capacity = health["capacity"]
    return ok("api", f"the service runs at {url}: {capacity['free']} of {capacity['agents']} agents are free")


async def _is_refused(client: httpx.AsyncClient, token: str) -> bool:
    answer = await client.get("/v1/models", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == httpx.codes.UNAUTHORIZED
