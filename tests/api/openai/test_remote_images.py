"""Images named by their address: by setting only, and from public addresses only."""

import asyncio
import base64
import socket
from typing import Any

import httpx
import pytest
import respx
from fake_host import FakeHost, client_of, settings

from agent.system import addresses
from agent.system.addresses import NotFound
from api.openai import remote_images

PIXEL = b"\x89PNG\r\n\x1a\n pixel"
PNG = {"content-type": "image/png; charset=binary"}
PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.7"
SHOWN = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PIXEL).decode()},
}
NAMES = {
    "images.example": [PUBLIC],
    "other.example": ["2606:2800:220:1::1"],
    "inside.example": [PRIVATE],
    "both.example": [PUBLIC, PRIVATE],
}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server; numbers are as they are."""

    async def resolve_host(host: str, port: int) -> list[str]:
        if host in NAMES:
            return NAMES[host]
        try:
            found = socket.getaddrinfo(host.strip("[]"), port, flags=socket.AI_NUMERICHOST)
        except OSError:
            raise NotFound from None
        return [str(entry[4][0]) for entry in found]

    monkeypatch.setattr(addresses, "resolve_host", resolve_host)


async def show(host: FakeHost, *urls: str, **members: Any) -> httpx.Response:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look:"}, *parts]}]}
    async with client_of(host, settings(**{"fetch_image_urls": True} | members)) as client:
        return await client.post("/v1/chat/completions", json=body)


async def refused(host: FakeHost, *urls: str, **members: Any) -> str:
    answer = await show(host, *urls, **members)
    assert answer.status_code == 400, answer.text
    assert host.inline_runs == []
    return str(answer.json()["detail"])


async def test_without_the_setting_nothing_is_fetched(host: FakeHost, respx_mock: respx.MockRouter) -> None:
    answer = await show(host, "https://images.example/cat.png", fetch_image_urls=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content[1].image_url.url"
    assert "not downloaded" in answer.json()["detail"]


async def test_an_image_is_fetched_at_the_address_that_was_checked(
    host: FakeHost, respx_mock: respx.MockRouter
) -> None:
    route = respx_mock.get(f"https://{PUBLIC}/cat.png?size=1").respond(content=PIXEL, headers=PNG)
    assert (await show(host, "https://images.example/cat.png?size=1")).status_code == 200
    assert host.inline_runs[0]["content"][1] == SHOWN
    request = route.calls.last.request
    assert request.headers["host"] == "images.example"
    assert request.extensions["sni_hostname"] == "images.example"
    assert not {"cookie", "authorization"} & set(request.headers)


async def test_images_keep_their_places(host: FakeHost, respx_mock: respx.MockRouter) -> None:
    data = f"data:image/gif;base64,{base64.b64encode(b'GIF89a').decode()}"
    respx_mock.get(f"http://{PUBLIC}:8000/a").respond(content=PIXEL, headers=PNG)
    respx_mock.get("https://[2606:2800:220:1::1]/b").respond(content=PIXEL, headers={"content-type": "image/png"})
    answer = await show(host, "http://images.example:8000/a", data, "https://other.example/b")
    assert answer.status_code == 200, answer.text
    kinds = [block["source"]["media_type"] for block in host.inline_runs[0]["content"][1:]]
    assert kinds == ["image/png", "image/gif", "image/png"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fe80::1]/",
        "http://inside.example/",
        "http://both.example/",
    ],
)
async def test_a_private_address_is_never_asked(host: FakeHost, respx_mock: respx.MockRouter, url: str) -> None:
    assert "no public address" in await refused(host, url)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/", "no public address"),
        ("http://inside.example/", "no public address"),
        ("//inside.example/x", "no public address"),
        ("file:///etc/passwd", "only http and https"),
        ("http://user:secret@images.example/", "only http and https"),
        ("/again", "too many redirects"),
        ("http://nowhere.example/", "cannot be resolved"),
    ],
)
async def test_nor_where_another_one_leads(
    host: FakeHost, respx_mock: respx.MockRouter, location: str, reason: str
) -> None:
    respx_mock.get(host=PUBLIC).respond(302, headers={"location": location})
    assert reason in await refused(host, "https://images.example/cat.png")


async def test_a_redirect_to_a_public_place_is_followed(host: FakeHost, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"https://{PUBLIC}/old").respond(301, headers={"location": "//other.example/new"})
    respx_mock.get("https://[2606:2800:220:1::1]/new").respond(content=PIXEL, headers=PNG)
    assert (await show(host, "https://images.example/old")).status_code == 200


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx.Response(404), "answered 404"),
        (httpx.Response(200, content=b"<svg/>", headers={"content-type": "image/svg+xml"}), "none of image/gif"),
        (httpx.Response(200, content=b"x"), "none of image/gif"),
        (httpx.Response(200, content=b"x" * 2000, headers=PNG), "more than 1500 bytes"),
        (httpx.ConnectError("refused"), "ConnectError"),
    ],
)
async def test_what_is_no_image_for_us_is_a_400(
    host: FakeHost, respx_mock: respx.MockRouter, response: Any, reason: str
) -> None:
    respx_mock.get(host=PUBLIC).mock(side_effect=[response])
    assert reason in await refused(host, "https://images.example/x", max_request_bytes=1500)


async def test_all_of_them_share_the_bound(host: FakeHost, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(host=PUBLIC).respond(content=PIXEL.ljust(800), headers=PNG)
    assert "more than 1500 bytes" in await refused(host, *["https://images.example/x"] * 2, max_request_bytes=1500)


async def test_a_server_that_does_not_answer_is_not_waited_for(
    host: FakeHost, respx_mock: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(remote_images, "SECONDS", 0.05)
    respx_mock.get(host=PUBLIC).mock(side_effect=never)
    assert "within 0.05 s" in await refused(host, "https://images.example/x")
