"""HTTP sources: every way in which a server can answer has a clear end."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from http_server import LocalServer, Request

from agent.system import addresses
from tasks.items.items import read_items
from tasks.sources import http_endpoint as source_http
from tasks.sources.errors import SourceFailed
from tasks.sources.http_endpoint import HttpEndpoint
from tasks.sources.models import HttpSource, IssuesSource
from tasks.sources.pages.http_cache import HttpCache
from tasks.sources.secret_files import NamedSecrets

URL = "https://api.example/things"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    server = LocalServer()
    yield server
    server.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "forge").write_text("s3cret-value\n")
    return tmp_path


def endpoint(place: Path, **members: Any) -> HttpEndpoint:
    source = HttpSource.model_validate({"url": URL, **members})
    return HttpEndpoint(source, NamedSecrets(place / "secrets"), HttpCache(place / "pages"))


async def fail(place: Path, **members: Any) -> SourceFailed:
    with pytest.raises(SourceFailed) as caught:
        await endpoint(place, **members).read()
    assert "s3cret" not in str(caught.value)
    return caught.value


# pages


@respx.mock
@pytest.mark.parametrize("forge", ["github", "forgejo", "gitea"])
async def test_the_issues_of_a_forge_are_listed_page_by_page(place: Path, forge: str) -> None:
    source = IssuesSource.model_validate(
        {"forge": forge, "url": "https://git.example", "repository": "o/r", "token": "forge"}
    )
    first = source.endpoint()
    base = str(first.url).split("?")[0]
    issues = [{"id": n, "html_url": f"https://git.example/o/r/{n}", "title": f"t{n}", "body": "b"} for n in range(5)]
    issues[3]["pull_request"] = {"url": "x"}  # type: ignore[assignment]
    link = f'<{base}?page=2>; rel="next", <{base}?page=9>; rel="last"'
    respx.get(str(first.url)).respond(json=issues[:3], headers={"link": link})
    respx.get(f"{base}?page=2").respond(json=issues[3:])
    lister = HttpEndpoint(first, NamedSecrets(place / "secrets"), HttpCache(place / "pages"))
    listing = read_items(await lister.read(), source.reading())
    assert [item.title for item in listing.items] == ["t0", "t1", "t2", "t4"]
    sent = respx.calls.last.request.headers["authorization"]
    assert sent == ("Bearer s3cret-value" if forge == "github" else "token s3cret-value")


@respx.mock
async def test_a_cursor_in_the_answer_leads_to_the_next_page(place: Path) -> None:
    respx.get(URL, params={"after": "b"}).respond(json={"data": [2], "meta": {"next": None}})
    respx.get(URL).respond(json={"data": [1], "meta": {"next": "b"}})
    assert await endpoint(place, cursor="meta.next", cursor_parameter="after").read() == [1, 2]


@respx.mock
async def test_a_cursor_can_be_an_address_of_the_same_server(place: Path) -> None:
    respx.get(f"{URL}/2").respond(json={"data": [2]})
    respx.get(URL).respond(json={"data": [1], "next": "/things/2"})
    assert await endpoint(place, cursor="next").read() == [1, 2]


@respx.mock
async def test_pages_end_at_their_cap(place: Path) -> None:
    respx.get(url__startswith=URL).mock(
        side_effect=lambda request: httpx.Response(
            200, json=[str(request.url)], headers={"link": f'<{URL}?n={time.monotonic_ns()}>; rel="next"'}
        )
    )
    endless = endpoint(place, max_pages=3)
    assert len(await endless.read()) == 3
    assert "max_pages" in endless.notes[0]


@respx.mock
async def test_pages_that_lead_in_a_circle_are_read_once(place: Path) -> None:
    respx.get(URL).respond(json=[1], headers={"link": f'<{URL}>; rel="next"'})
    assert await endpoint(place).read() == [1]


@respx.mock
async def test_a_next_page_elsewhere_is_not_followed_because_the_secret_would_go_there(place: Path) -> None:
    respx.get(URL).respond(json=[1], headers={"link": '<https://evil.example/>; rel="next"'})
    failure = await fail(place, headers={"authorization": {"secret": "forge", "prefix": "Bearer "}})
    assert "https://evil.example: not followed" in str(failure)


async def test_one_page_that_fails_fails_the_listing_and_nothing_is_handled_by_half(
    place: Path, server: LocalServer
) -> None:
    server.handlers["/"] = lambda request: request.answer(body=b"[1]", link=f'<{server.url}/2>; rel="next"')
    server.handlers["/2"] = lambda request: request.answer(500, b"oh no")
    failure = await fail(place, url=f"{server.url}/")
    assert failure.retryable
    assert "answered 500: oh no" in str(failure)


# nothing new


async def test_a_server_may_say_that_nothing_has_changed(place: Path, server: LocalServer) -> None:
    def handle(request: Request) -> None:
        if request.headers.get("if-none-match") == '"v1"':
            request.answer(304)
        else:
            request.answer(body=b'[{"id": 1}]', etag='"v1"', link=f'<{server.url}/2>; rel="next"')

    server.handlers["/"] = handle
    server.handlers["/2"] = lambda request: request.answer(body=b'[{"id": 2}]')
    for _ in range(2):
        assert await endpoint(place, url=f"{server.url}/").read() == [{"id": 1}, {"id": 2}]
    assert [headers.get("if-none-match") for path, headers in server.requests if path == "/"] == [None, '"v1"']


async def test_another_token_is_another_page(place: Path, server: LocalServer) -> None:
    server.handlers["/"] = lambda request: request.answer(
        body=json.dumps([request.headers["x-who"]]).encode(), etag='"v"'
    )
    for who in ("a", "b", "a"):
        assert await endpoint(place, url=f"{server.url}/", headers={"x-who": who}).read() == [who]


async def test_not_modified_without_an_older_answer_is_a_failure(place: Path, server: LocalServer) -> None:
    server.handlers["/"] = lambda request: request.answer(304)
    assert "304" in str(await fail(place, url=f"{server.url}/"))


async def test_a_cache_that_is_damaged_is_no_cache(place: Path, server: LocalServer) -> None:
    server.handlers["/"] = lambda request: request.answer(body=b"[1]", etag='"v"')
    await endpoint(place, url=f"{server.url}/").read()
    for path in (place / "pages").iterdir():
        path.write_text('{"body": 5}')
    assert await endpoint(place, url=f"{server.url}/").read() == [1]


# trouble


async def test_a_server_that_asks_for_time_gets_it(place: Path, server: LocalServer) -> None:
    answers = iter([(429, "0"), (503, "0"), (200, "")])

    def handle(request: Request) -> None:
        status, wait = next(answers)
        request.answer(status, b"[1]" if status == 200 else b"", **({"retry_after": wait} if wait else {}))

    server.handlers["/"] = handle
    assert await endpoint(place, url=f"{server.url}/").read() == [1]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "3600"},
        {"retry_after": "Fri, 31 Dec 2100 23:59:59 GMT"},
        {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(time.time()) + 4000)},
    ],
)
async def test_a_server_that_asks_for_an_hour_is_left_to_the_next_run(
    place: Path, server: LocalServer, headers: dict[str, str]
) -> None:
    status = 403 if "x_ratelimit_reset" in headers else 429
    server.handlers["/"] = lambda request: request.answer(status, b"", **headers)
    failure = await fail(place, url=f"{server.url}/")
    assert "retry in" in str(failure)
    assert not failure.retryable
    assert len(server.requests) == 1


async def test_a_server_that_always_asks_for_time_does_not_get_for_ever(
    place: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_http, "PATIENCE_SECONDS", 3.0)
    server.handlers["/"] = lambda request: request.answer(429, retry_after="0")
    assert "429" in str(await fail(place, url=f"{server.url}/"))
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("status", "retryable"), [(500, True), (502, True), (503, True), (400, False), (401, False), (404, False)]
)
async def test_an_error_is_told_with_what_the_server_says(
    place: Path, server: LocalServer, status: int, retryable: bool
) -> None:
    server.handlers["/"] = lambda request: request.answer(status, b"because\x1b[31m of reasons" + b"x" * 5_000)
    failure = await fail(place, url=f"{server.url}/?token=s3cret")
    assert f"answered {status}: because" in str(failure)
    assert str(failure).isprintable()
    assert len(str(failure)) < 500
    assert failure.retryable is retryable


async def test_a_server_that_says_nothing_is_not_waited_for(place: Path, server: LocalServer) -> None:
    server.handlers["/"] = lambda _: server.released.wait(30) and None
    failure = await fail(place, url=f"{server.url}/", timeout_seconds=0.2)
    assert "said nothing for 0.2 s" in str(failure)
    assert failure.retryable


async def test_a_server_that_drips_is_ended_as_well(
    place: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_http, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(source_http, "_SLOWEST", 1)

    def drip(request: Request) -> None:
        request.send_response(200)
        request.send_header("content-length", "100000")
        request.end_headers()
        try:
            while not server.released.wait(0.02):
                request.wfile.write(b" ")
                request.wfile.flush()
        except OSError:
            return

    server.handlers["/"] = drip
    assert "did not list everything" in str(await fail(place, url=f"{server.url}/", timeout_seconds=1))


async def test_nobody_there_is_worth_another_try(place: Path, server: LocalServer) -> None:
    url = server.url
    server.close()
    failure = await fail(place, url=f"{url}/")
    assert failure.retryable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>login</html>",
        b"\xff\xfe\x00",
        b"[1, 2",
        b'{"a": 1',
        b"[NaN]",
        b"[" * 100_000,
        b"null",
        b'"x"',
        b"{}",
    ],
)
async def test_garbage_is_told_by_its_beginning(place: Path, server: LocalServer, body: bytes) -> None:
    server.handlers["/"] = lambda request: request.answer(body=body)
    failure = await fail(place, url=f"{server.url}/")
    assert "JSON" in str(failure)
    assert len(str(failure)) < 300


async def test_half_a_surrogate_pair_is_replaced_and_lines_are_a_list(place: Path, server: LocalServer) -> None:
    server.handlers["/"] = lambda request: request.answer(body=b'{"id": "\\ud800"}\n\n{"id": "b"}\n')
    assert await endpoint(place, url=f"{server.url}/").read() == [{"id": "?"}, {"id": "b"}]


async def test_a_body_of_fifty_megabytes_is_refused_before_it_is_all_here(place: Path, server: LocalServer) -> None:
    sent = []

    def flood(request: Request) -> None:
        request.send_response(200)
        request.send_header("content-length", str(50_000_000))
        request.end_headers()
        try:
            for _ in range(50):
                request.wfile.write(b"[" + b" " * 999_999)
                sent.append(1)
        except OSError:
            return

    server.handlers["/"] = flood
    failure = await fail(place, url=f"{server.url}/", max_bytes=5_000_000)
    assert "more than 5,000,000 bytes" in str(failure)
    assert not failure.retryable
    assert len(sent) < 50


# elsewhere


async def test_a_redirect_on_the_same_server_is_followed_with_everything(place: Path, server: LocalServer) -> None:
    server.handlers["/"] = lambda request: request.answer(302, location="/moved")
    server.handlers["/moved"] = lambda request: request.answer(body=b"[1]")
    assert await endpoint(place, url=f"{server.url}/", headers={"x-key": {"secret": "forge"}}).read() == [1]
    assert server.requests[1][1]["x-key"] == "s3cret-value"


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/",
        "http://localhost:1/latest/meta-data",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:1/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://10.1.2.3/",
        "http://0.0.0.0:1/",
        "http://2130706433/",
    ],
)
async def test_a_redirect_into_our_own_network_is_not_followed(place: Path, server: LocalServer, target: str) -> None:
    server.handlers["/"] = lambda request: request.answer(302, location=target)
    assert "private address" in str(await fail(place, url=f"{server.url}/"))
    assert len(server.requests) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/", "http://", "//", "http://[bad"])
async def test_a_redirect_to_no_server_is_a_failure(place: Path, server: LocalServer, target: str) -> None:
    server.handlers["/"] = lambda request: request.answer(302, location=target)
    await fail(place, url=f"{server.url}/", max_pages=1)


async def test_redirects_in_a_circle_end(place: Path, server: LocalServer) -> None:
    server.handlers["/"] = lambda request: request.answer(302, location="/")
    assert "circles" in str(await fail(place, url=f"{server.url}/"))


async def test_a_redirect_to_another_public_server_goes_there_without_our_headers(
    place: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = LocalServer()
    monkeypatch.setattr(addresses, "is_public", lambda _address: True)
    target = other.url.replace("127.0.0.1", "localhost")
    server.handlers["/"] = lambda request: request.answer(307, location=f"{target}/list")
    other.handlers["/list"] = lambda request: request.answer(body=b"[1]")
    try:
        assert await endpoint(place, url=f"{server.url}/", headers={"x-key": {"secret": "forge"}}).read() == [1]
        assert other.requests[0][1]["host"] == target.removeprefix("http://")
        assert "x-key" not in other.requests[0][1]
    finally:
        other.close()


# secrets


async def test_a_secret_that_is_not_there_is_named_with_its_place(place: Path) -> None:
    with pytest.raises(SourceFailed, match=r"'nothing'.*No such file"):
        endpoint(place, headers={"x": {"secret": "nothing"}})


async def test_a_secret_is_in_no_log(place: Path, server: LocalServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.handlers["/"] = lambda request: request.answer(500, b"x")
    await fail(place, url=f"{server.url}/", headers={"authorization": {"secret": "forge"}})
    assert "s3cret-value" not in caplog.text
