"""What an ingress, a proxy or a login page answers in Prefect's place is no answer of Prefect's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import respx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from deployments.prefect_client.calls import PrefectUnavailable, calling_prefect
from deployments.prefect_client.foreign_answers import distrust_async

pytestmark = pytest.mark.anyio

API = "http://prefect.example/api"
RUN = uuid4()


@pytest.fixture
async def client() -> AsyncIterator[PrefectClient]:
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        async with PrefectClient(API) as client:
            distrust_async(client)
            distrust_async(client)  # a worker shares the client of its host
            yield client


NOW = {"retry-after": "0"}
HTML = "<html>404 page not found</html>"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="default backend - 404"),
        httpx.Response(404, html=HTML),
        httpx.Response(404, json={"message": "no Route matched with those values"}),
        httpx.Response(404, json=["none"]),
        httpx.Response(404, headers={"content-type": "application/json"}, text="{"),
        httpx.Response(200, html="<form>sign in</form>"),
        httpx.Response(200, text="ok"),
        httpx.Response(403, html=HTML),
        httpx.Response(410, html=HTML),
        httpx.Response(429, json={"detail": "slow down"}),
        httpx.Response(500, html=HTML),
        httpx.Response(503, html=HTML),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"status": "ok"}),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.text[:12]}",
)
@respx.mock
async def test_it_is_taken_for_an_outage(client: PrefectClient, answer: httpx.Response) -> None:
    answer.headers["retry-after"] = "0"
    respx.get(f"{API}/flow_runs/{RUN}").mock(return_value=answer)

    async def find() -> None:
        async with calling_prefect():
            with contextlib.suppress(ObjectNotFound):  # it must not be taken for a run that does not exist
                await client.read_flow_run(RUN)

    with pytest.raises(PrefectUnavailable):
        await find()


@pytest.mark.parametrize("member", ["detail", "exception_message"])
@respx.mock
async def test_what_prefect_itself_does_not_know_is_not_there(client: PrefectClient, member: str) -> None:
    respx.get(f"{API}/flow_runs/{RUN}").mock(return_value=httpx.Response(404, json={member: "Flow run not found"}))
    with pytest.raises(ObjectNotFound):
        async with calling_prefect():
            await client.read_flow_run(RUN)


@respx.mock
async def test_the_message_says_what_came(client: PrefectClient) -> None:
    respx.get(f"{API}/flow_runs/{RUN}").mock(return_value=httpx.Response(404, html=HTML, headers=NOW))
    with pytest.raises(PrefectUnavailable, match=r"404 with text/html.*not Prefect's own"):
        async with calling_prefect():
            await client.read_flow_run(RUN)


@respx.mock
async def test_an_empty_answer_of_prefect_s_is_one(client: PrefectClient) -> None:
    respx.get(f"{API}/flow_runs/{RUN}").mock(return_value=httpx.Response(204))
    assert (await client.request("GET", "/flow_runs/{id}", path_params={"id": RUN})).status_code == 204
