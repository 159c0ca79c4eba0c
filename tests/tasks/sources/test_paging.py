"""Pages of an HTTP source: all of them are read, or a note says that there are more."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import respx
from http_server import LocalServer

from tasks.sources import http_endpoint
from tasks.sources.errors import SourceFailed
from tasks.sources.http_endpoint import HttpEndpoint
from tasks.sources.models import HttpSource
from tasks.sources.pages.http_cache import HttpCache
from tasks.sources.secret_files import NamedSecrets

URL = "https://ci.example/api/pipelines"
ALL = [{"id": number} for number in range(32)]


def endpoint(place: Path, url: str = URL, **members: Any) -> HttpEndpoint:
    source = HttpSource.model_validate({"url": url, **members})
    return HttpEndpoint(source, NamedSecrets(place), HttpCache(place / "pages"))


def by_number(request: httpx.Request) -> httpx.Response:
    """A server that counts pages of `perPage`, without Link."""
    query = parse_qs(urlsplit(str(request.url)).query)
    size, page = int(query.get("perPage", ["12"])[0]), int(query.get("page", ["1"])[0])
    return httpx.Response(200, json=ALL[(page - 1) * size : page * size])


def by_offset(request: httpx.Request) -> httpx.Response:
    query = parse_qs(urlsplit(str(request.url)).query)
    start = int(query.get("startAt", ["0"])[0])
    return httpx.Response(200, json={"issues": ALL[start : start + 10], "total": len(ALL), "isLast": start >= 30})


def once(request: httpx.Request) -> httpx.Response:
    """A server that knows no pages."""
    return httpx.Response(200, json=ALL[:12])


@respx.mock
@pytest.mark.parametrize(
    ("server", "url", "members"),
    [
        (by_number, URL, {"page_parameter": "page"}),
        (by_number, f"{URL}?page=1&perPage=12", {}),
        (by_number, f"{URL}?perPage=12", {}),
        (by_number, f"{URL}?perPage=16&page=1", {}),
        (by_offset, URL, {"offset_parameter": "startAt"}),
        (by_offset, URL, {"offset_parameter": "startAt", "more": "!isLast"}),
        (by_offset, f"{URL}?startAt=0&maxResults=10", {}),
    ],
)
async def test_pages_that_are_counted_are_all_read(
    tmp_path: Path, server: Any, url: str, members: dict[str, Any]
) -> None:
    respx.get(url__startswith=URL).mock(side_effect=server)
    reader = endpoint(tmp_path, url, **members)
    assert await reader.read() == ALL
    assert reader.notes == []


@respx.mock
@pytest.mark.parametrize(
    ("server", "url", "reason"),
    [
        (once, f"{URL}?perPage=12", "same page again"),
        (once, f"{URL}?page=1", "same page again"),
        (once, f"{URL}?limit=12", "full, as `limit` says"),
        (by_offset, URL, "`total` is 32"),
        (lambda _: httpx.Response(200, json={"items": [1], "has_more": True}), URL, "`has_more`"),
        (lambda _: httpx.Response(200, json={"items": [1], "pageInfo": {"hasNextPage": True}}), URL, "hasNextPage"),
        (lambda _: httpx.Response(200, json=[1], headers={"x-total-count": "2"}), URL, "the server counts 2"),
    ],
)
async def test_a_note_says_where_there_is_more(tmp_path: Path, server: Any, url: str, reason: str) -> None:
    respx.get(url__startswith=URL).mock(side_effect=server)
    reader = endpoint(tmp_path, url)
    assert await reader.read()
    assert len(reader.notes) == 1
    assert reason in reader.notes[0]


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json=[1, 2]),
        httpx.Response(200, json={"items": [1, 2], "total": 2, "has_more": False}),
        httpx.Response(200, json={"results": [1, 2], "next": None, "count": 2}),
        httpx.Response(200, json=[1, 2], headers={"link": f'<{URL}?page=1>; rel="first"'}),
    ],
)
async def test_one_page_that_is_all_there_is_makes_no_note(tmp_path: Path, answer: httpx.Response) -> None:
    route = respx.get(URL).mock(return_value=answer)
    reader = endpoint(tmp_path)
    assert await reader.read() == [1, 2]
    assert (reader.notes, route.call_count) == ([], 1)


@respx.mock
async def test_the_next_page_that_an_answer_names_is_read(tmp_path: Path) -> None:
    respx.get(f"{URL}?page=2").respond(json={"results": [2], "next": None})
    respx.get(URL).respond(json={"results": [1], "next": f"{URL}?page=2"})
    assert await endpoint(tmp_path).read() == [1, 2]


@respx.mock
async def test_a_cursor_of_graphql_goes_into_the_body(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        after = json.loads(request.content)["variables"].get("after")
        page = {"nodes": [{"id": after or "first"}], "pageInfo": {"endCursor": None if after else "c1"}}
        return httpx.Response(200, json={"data": {"issues": page}})

    respx.post(URL).mock(side_effect=answer)
    reader = endpoint(
        tmp_path,
        method="POST",
        body={"query": "…", "variables": {"first": 50}},
        items="data.issues.nodes",
        cursor="data.issues.pageInfo.endCursor",
        cursor_parameter="variables.after",
    )
    assert await reader.read() == [{"id": "first"}, {"id": "c1"}]


@respx.mock
async def test_a_query_that_graphql_refuses_is_told(tmp_path: Path) -> None:
    respx.post(URL).respond(json={"errors": [{"message": "Cannot query field"}], "data": None})
    with pytest.raises(SourceFailed, match="Cannot query field"):
        await endpoint(tmp_path, method="POST", body={"query": "x"}, items="data.issues.nodes").read()


@respx.mock
async def test_a_page_that_has_not_changed_leads_on_by_the_link_of_its_304(tmp_path: Path) -> None:
    respx.get(URL, params={"page": "2"}).respond(json=[2])
    respx.get(URL).respond(json=[1], headers={"etag": '"a"'})
    assert await endpoint(tmp_path).read() == [1]
    respx.get(URL).respond(304, headers={"link": f'<{URL}?page=2>; rel="next"'})
    assert await endpoint(tmp_path).read() == [1, 2]


@respx.mock
async def test_no_content_is_no_items(tmp_path: Path) -> None:
    respx.get(URL).respond(204)
    assert await endpoint(tmp_path).read() == []


@respx.mock
async def test_lines_of_json_end_at_a_line_feed_alone(tmp_path: Path) -> None:
    body = '{"id":"a","text":"one\u2028two\x85"}\r\n{"id":"b"}\n'
    respx.get(URL).respond(content=body.encode())
    assert [value["id"] for value in await endpoint(tmp_path).read()] == ["a", "b"]


@respx.mock
async def test_a_server_that_always_asks_for_no_time_is_asked_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(http_endpoint.asyncio, "sleep", sleep)
    route = respx.get(URL).respond(429, headers={"retry-after": "0"})
    with pytest.raises(SourceFailed, match="to be asked later"):
        await endpoint(tmp_path).read()
    assert route.call_count <= 6
    assert len([seconds for seconds in waits if seconds >= 1]) == route.call_count  # libraries sleep for 0 s


# compressed bodies


@pytest.fixture
def server() -> Iterator[LocalServer]:
    server = LocalServer()
    yield server
    server.close()


def bomb(layers: int = 1) -> bytes:
    packed = zlib.compressobj(9, wbits=31)
    body = b"".join(packed.compress(b" " * 1_048_576) for _ in range(64)) + packed.flush()
    return body if layers == 1 else gzip.compress(body, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", bomb(), "more than 1,000 bytes"),
        ("gzip, gzip", bomb(2), "more than 1,000 bytes"),
        ("gzip, gzip, gzip", b"x", "not asked for"),
        ("zstd", b"\x28\xb5\x2f\xfd", "zstd, which was not asked for"),
        ("br", b"x", "br, which was not asked for"),
        ("gzip", gzip.compress(b"[1]", mtime=0)[:-9], "ends in the middle"),
        ("gzip", b"no gzip", "damaged"),
    ],
)
async def test_a_packed_body_is_refused_at_its_bound(
    tmp_path: Path, server: LocalServer, encoding: str, body: bytes, reason: str
) -> None:
    server.handlers["/"] = lambda request: request.answer(200, body, content_encoding=encoding)
    with pytest.raises(SourceFailed, match=reason):
        await endpoint(tmp_path, f"{server.url}/", max_bytes=1000).read()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"[1]", mtime=0)),
        ("gzip", gzip.compress(b"[", mtime=0) + gzip.compress(b"1]", mtime=0)),
        ("deflate", zlib.compress(b"[1]")),
        ("deflate", zlib.compress(b"[1]")[2:-4]),
        ("gzip, gzip", gzip.compress(gzip.compress(b"[1]", mtime=0), mtime=0)),
        ("identity", b"[1]"),
    ],
)
async def test_a_packed_body_is_unpacked(tmp_path: Path, server: LocalServer, encoding: str, body: bytes) -> None:
    server.handlers["/"] = lambda request: request.answer(200, body, content_encoding=encoding)
    assert await endpoint(tmp_path, f"{server.url}/").read() == [1]
