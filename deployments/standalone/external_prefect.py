"""Check of a Prefect server of the operator: its address and its password."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import httpx

from agent.domain.errors import NotConfigured
from agent.redaction.redactor import mask_url_credentials

SERVED_BY = "x-served-by"
"""The header by which this service's own Prefect server is known: on SQLite, too, it takes the load of a triage."""

_TIMEOUT_SECONDS = 5.0


def read_api_url(environ: Mapping[str, str]) -> str | None:
    """Return PREFECT_API_URL without slashes at its end; None if it is not set. Raises NotConfigured."""
    url = environ.get("PREFECT_API_URL", "").strip().rstrip("/")
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        problem = f"PREFECT_API_URL={mask_url_credentials(url)} is no URL"
        raise NotConfigured(problem, "it looks like http://prefect.example.com:4200/api")
    return url


def check_external_prefect(url: str, environ: Mapping[str, str]) -> None:
    """Raise NotConfigured if the server at `url` answers, and shows that address or password are wrong.

    One that does not answer may still be starting: nothing is raised.
    """
    try:
        with httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
            if not _is_healthy(client, url):
                _refuse_address(client, url)
                return
            answer = client.get(f"{url}/admin/version", headers=credential(environ))
    except (httpx.HTTPError, httpx.InvalidURL):
        return
    if answer.status_code in (401, 403):
        name = "PREFECT_API_KEY" if environ.get("PREFECT_API_KEY") else "PREFECT_API_AUTH_STRING"
        refused = f"refuses {name}" if environ.get(name) else f"wants a password, and {name} is not set"
        problem = f"the Prefect server at {mask_url_credentials(url)} {refused}"
        raise NotConfigured(problem, f"set {name} to the server's PREFECT_SERVER_API_AUTH_STRING, as USER:PASSWORD")


async def is_stock_sqlite(client: httpx.AsyncClient, url: str, environ: Mapping[str, str]) -> bool:
    """True if the server keeps its runs in SQLite, and is not this service's own. Raises httpx.HTTPError.

    No route tells the database (the settings are masked). SQLite compares with a NUL character; PostgreSQL refuses it.
    """
    query = {"flow_runs": {"name": {"any_": ["\0"]}}, "limit": 1}
    answer = await client.post(f"{url}/flow_runs/filter", json=query, headers=credential(environ))
    return answer.status_code == 200 and answer.text.strip() == "[]" and SERVED_BY not in answer.headers


def credential(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the header that Prefect's own client sends."""
    if key := environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if password := environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"}
    return {}


def _refuse_address(client: httpx.Client, url: str) -> None:
    if url.endswith("/api"):
        return  # its proxy may still have an error page for it
    shown = mask_url_credentials(url)
    if _is_healthy(client, f"{url}/api"):
        raise NotConfigured(f"PREFECT_API_URL={shown} is not the address of Prefect's API", f"set it to {shown}/api")


def _is_healthy(client: httpx.Client, url: str) -> bool:
    answer = client.get(f"{url}/health")
    # Prefect's UI answers any path that it does not know with a page of HTML and the status 200
    return answer.is_success and not answer.text.lstrip().startswith("<")
