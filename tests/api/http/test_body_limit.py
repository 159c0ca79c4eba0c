"""Long bodies end at the bound, not in memory."""

from collections.abc import AsyncIterator

import httpx
from fake_host import FakeHost, client_of, settings

LIMIT = 2000
SMALL = settings(max_request_bytes=LIMIT)


async def chunks(count: int, sent: list[int]) -> AsyncIterator[bytes]:
    for _ in range(count):
        sent.append(100)
        yield b" " * 100


async def test_an_announced_length_is_refused_at_once(host: FakeHost) -> None:
    async with client_of(host, SMALL) as client:
        answer = await client.post("/execute", content=b" " * (LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json() == {"detail": "request body too large: the limit is 2000 bytes (MAX_REQUEST_BYTES)"}


async def test_a_body_without_a_length_is_refused_while_it_is_read(host: FakeHost) -> None:
    sent: list[int] = []
    async with client_of(host, SMALL) as client:
        answer = await client.post("/execute", content=chunks(10_000, sent))
    assert answer.status_code == 413
    assert isinstance(answer.json()["detail"], str)
    assert sum(sent) <= LIMIT + 200


async def test_under_v1_it_is_openai_s_object(host: FakeHost) -> None:
    async with client_of(host, SMALL) as client:
        answers: list[httpx.Response] = [
            await client.post("/v1/chat/completions", content=b" " * (LIMIT + 1)),
            await client.post("/v1/chat/completions", content=chunks(100, [])),
        ]
    assert [answer.status_code for answer in answers] == [413, 413]
    assert {answer.json()["error"]["code"] for answer in answers} == {"request_too_large"}


async def test_the_bound_itself_is_allowed(host: FakeHost) -> None:
    body = b'{"prompt": "x", "agent": "a"}'.ljust(LIMIT)
    async with client_of(host, SMALL) as client:
        assert (await client.post("/execute", content=body)).status_code == 202


async def test_a_length_that_lies_does_not_help(host: FakeHost) -> None:
    async with client_of(host, SMALL) as client:
        headers = {"content-length": "10"}
        answer = await client.post("/execute", content=chunks(100, []), headers=headers)
    assert answer.status_code == 413


async def test_the_token_comes_first(host: FakeHost) -> None:
    sent: list[int] = []
    async with client_of(host, SMALL, token="wrong") as client:
        assert (await client.post("/execute", content=b" " * (LIMIT + 1))).status_code == 401
        assert (await client.post("/execute", content=chunks(100, sent))).status_code == 401
