"""Checks of the Prefect server: its address, its password, its version and its clock."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import httpx

from agent.domain.errors import NotConfigured
from agent.redaction.redactor import mask_url_credentials
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, skipped, warning
from cli.doctor.ports import is_free, listener
from deployments.standalone.external_prefect import check_external_prefect, credential, is_stock_sqlite, read_api_url
from deployments.standalone.preflight import check_embedded_prefect, prefect_port

TIMEOUT_SECONDS = 4.0
VERSION = "/admin/version"
SKEW_WORTH_KNOWING, SKEW_TOO_MUCH = 5.0, 60.0


async def check_prefect(world: DoctorContext) -> list[Finding]:
    """Check the Prefect server and its clock."""
    try:
        url = read_api_url(world.environ)
        if url is not None:
            await asyncio.to_thread(check_external_prefect, url, world.environ)
            return await _external(world, url)
        check_embedded_prefect(world.agent.state_dir, world.environ)
        return await _embedded(world, prefect_port(world.environ))
    except NotConfigured as error:
        return [broken("prefect", error.problem, error.remedy)]


async def _external(world: DoctorContext, url: str) -> list[Finding]:
    shown = mask_url_credentials(url)
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
        try:
            began = time.time()
            health = await client.get(f"{url}/health")
            clock = _clock(health, (began + time.time()) / 2)
            strangers = await client.get(f"{url}{VERSION}")
            ours = await client.get(f"{url}{VERSION}", headers=credential(world.environ))
            database = await _database(client, url, world)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"no answer from {shown} ({type(error).__name__})"
            away = broken("prefect", text, "start that server, or correct PREFECT_API_URL")
            return [away, skipped("clock", "Prefect")]
    if strangers.is_success:
        text = f"{shown} asks for no password: whoever reaches it, agents too, can start, change and end runs"
        mend = "set PREFECT_SERVER_API_AUTH_STRING there, and the same as PREFECT_API_AUTH_STRING here"
        return [warning("prefect", text, mend), *database, clock]
    return [_judge_version(ours, f"{shown} answers, and asks for its password"), *database, clock]


async def _database(client: httpx.AsyncClient, url: str, world: DoctorContext) -> list[Finding]:
    if not await is_stock_sqlite(client, url, world.environ):
        return []
    text = (
        f"{mask_url_credentials(url)} keeps its runs in SQLite: with some runs at once, e.g. of a triage, it locks up"
    )
    mend = (
        "give it PostgreSQL (PREFECT_API_DATABASE_CONNECTION_URL there), or run `agent-service up --only prefect` there"
    )
    return [warning("prefect", text, mend)]


async def _embedded(world: DoctorContext, port: int) -> list[Finding]:
    if port == 0 or is_free("127.0.0.1", port):
        return [ok("prefect", f"port {port} is free; `agent-service up` starts Prefect's server there")]
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            began = time.time()
            answer = await client.get(
                f"http://127.0.0.1:{port}/api{VERSION}",
                headers=credential({"PREFECT_API_AUTH_STRING": world.prefect_password}),
            )
            if answer.is_success and world.prefect_password:
                return [
                    ok("prefect", f"our own server answers on port {port}, and asks for its password"),
                    _clock(answer, (began + time.time()) / 2),
                ]
    except httpx.HTTPError:
        pass
    who = listener(port)
    mend = "stop that program, or use another port: export PREFECT_SERVER_API_PORT=4201"
    return [broken("prefect", f"port {port} is taken by {who}", mend)]


def _judge_version(answer: httpx.Response, text: str) -> Finding:
    """Compare the versions. Prefect allows a newer server; a warning tells the operator all the same."""
    theirs, ours = answer.text.strip().strip('"'), version("prefect")
    if answer.is_success and theirs.split(".")[:2] != ours.split(".")[:2]:
        text += f"; it is {theirs[:20]}, and this service is made with {ours}"
        return warning("prefect", text, f"run Prefect {ours} there")
    return ok("prefect", text)


def _clock(answer: httpx.Response, now: float) -> Finding:
    try:
        # the header has whole seconds: on average it is half of one behind
        skew = now - parsedate_to_datetime(answer.headers["date"]).timestamp() - 0.5
    except (KeyError, ValueError):
        return skipped("clock", "Prefect")
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Prefect's"
    if abs(skew) >= SKEW_TOO_MUCH:
        return broken("clock", f"{text}: runs start too early, or late", "timedatectl set-ntp true")
    if abs(skew) >= SKEW_WORTH_KNOWING:
        return warning("clock", text, "timedatectl set-ntp true")
    return ok("clock", "as Prefect's")
