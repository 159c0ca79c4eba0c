"""The proxy by itself: real sockets on loopback, names looked up in a table."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpx
import psutil
import pytest

from agent.egress.allowlist import Destination, read_destinations
from agent.egress.proxy import EgressProxy
from agent.egress.resolver import NotAllowed, Resolver, own_ports
from agent.system.addresses import Address

pytestmark = pytest.mark.anyio

HERE, ELSEWHERE = ip_address("127.0.0.1"), ip_address("127.0.0.2")
TUNNEL = b"CONNECT site.test:%d HTTP/1.1\r\nHost: site.test:%d\r\n\r\n"


async def _repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says everything again, and whatever ended it ends this."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _tell_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A site: answers with the request itself, as it came over the wire."""
    request = await reader.readuntil(b"\r\n\r\n")
    lines = request.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    request += await reader.readexactly(length)
    if b"transfer-encoding: chunked" in lines:
        while not request.endswith(b"0\r\n\r\n"):
            request += await reader.read(65_536)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(request) + request)
    await writer.drain()
    writer.close()


class Net:
    """A proxy, a site behind it, and what names lead to."""

    def __init__(self, port: int, site: int) -> None:
        self.port = port
        self.site = site
        self.lookups: list[Destination] = []
        self.table: dict[str, list[Address]] = {"site.test": [HERE], "far.test": [ELSEWHERE]}

    def look_up(self, destination: Destination) -> list[Address]:
        self.lookups.append(destination)
        if destination.host not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.table[destination.host]

    async def say(self, *words: bytes) -> bytes:
        """All that comes back for what is sent to the proxy."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"".join(words))
        writer.write_eof()
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def network(serve: object, *entries: str, closed: set[int] | None = None) -> AsyncIterator[Net]:
    site = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    net = Net(listener.getsockname()[1], site.sockets[0].getsockname()[1])
    allowed = read_destinations([entry.replace("SITE", str(net.site)) for entry in entries])
    egress = EgressProxy(listener, Resolver(allowed, net.look_up, lambda: closed or set()), lambda: "run-1")
    try:
        yield net
    finally:
        await egress.close()
        site.close()


LISTED = ("site.test:SITE", "127.0.0.1:SITE")


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    async with network(_repeat, *LISTED) as net:
        answer = await net.say(TUNNEL % (net.site, net.site), b"early bytes, ", b"\0\xff" * 200_000)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b"early bytes, " + b"\0\xff" * 200_000


async def test_a_plain_request_is_said_again_without_what_is_between_client_and_proxy() -> None:
    async with network(_tell_back, *LISTED) as net:
        answer = await net.say(
            b"POST http://site.test:%d/a/b?c=d HTTP/1.1\r\nHost: evil.test\r\nProxy-Authorization: x\r\n" % net.site,
            b"X-Own: 1\r\nConnection: X-Hop\r\nX-Hop: 2\r\nContent-Length: 5\r\n\r\nhello",
        )
    request = answer.partition(b"\r\n\r\n")[2]
    assert request.startswith(b"POST /a/b?c=d HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\nhello")
    names = [line.partition(b":")[0].lower() for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    assert sorted(names) == [b"connection", b"content-length", b"host", b"x-own"]
    assert b"site.test:%d" % net.site in request
    assert b"evil" not in request


async def test_an_ordinary_client_needs_nothing_but_the_proxys_address() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 100_000

    async with (
        network(_tell_back, *LISTED) as net,
        httpx.AsyncClient(proxy=f"http://127.0.0.1:{net.port}", timeout=20) as client,
    ):
        answers = [await client.post(f"http://site.test:{net.site}/", content=body()) for _ in range(2)]
    assert all(answer.content.count(b"x") >= 300_000 for answer in answers)


@pytest.mark.parametrize(
    ("request_line", "why"),
    [
        (b"CONNECT other.test:443", "not in AGENT_EGRESS_ALLOW"),
        (b"CONNECT site.test:22", "not in AGENT_EGRESS_ALLOW"),
        (b"GET http://other.test/", "not in AGENT_EGRESS_ALLOW"),
        (b"CONNECT 127.0.0.1:1", "not in AGENT_EGRESS_ALLOW"),
        (b"CONNECT [::1]:443", "not in AGENT_EGRESS_ALLOW"),
        (b"CONNECT 2130706433:443", "not in AGENT_EGRESS_ALLOW"),
        (b"CONNECT far.test:443", "no public address"),
        (b"GET http://far.test/", "no public address"),
    ],
)
async def test_what_is_not_allowed_is_refused_with_the_reason(request_line: bytes, why: str) -> None:
    async with network(_repeat, *LISTED, "far.test") as net:
        answer = await net.say(request_line, b" HTTP/1.1\r\nHost: site.test\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403")
    assert why in answer.decode()


async def test_a_name_is_looked_up_once_and_only_when_it_is_listed() -> None:
    async with network(_repeat, *LISTED) as net:
        await net.say(b"CONNECT other.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert net.lookups == []
        await net.say(TUNNEL % (net.site, net.site))
    assert net.lookups == [Destination("site.test", net.site)]


async def test_of_several_addresses_only_the_allowed_ones_are_tried() -> None:
    async with network(_repeat, *LISTED) as net:
        net.table["site.test"] = [ELSEWHERE, ip_address("169.254.169.254"), HERE]
        answer = await net.say(TUNNEL % (net.site, net.site), b"hello")
    assert answer.endswith(b"hello")


async def test_the_services_own_ports_are_refused_even_where_they_are_listed() -> None:
    async with network(_repeat, *LISTED) as net:
        routes = Resolver(read_destinations([f"127.0.0.1:{net.site}"]))
        assert net.site in own_ports()
        with pytest.raises(NotAllowed, match="never a way out"):
            routes.find(Destination("127.0.0.1", net.site))


@pytest.mark.parametrize(
    "words",
    [
        *(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT site.test HTTP/1.1\r\nHost: x\r\n\r\n"),
        *(
            b"CONNECT u@site.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        *(b"CONNECT site.test:99999 HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01 no HTTP\r\n\r\n"),
        *(b"CONNECT site.test:443/x HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n"),
        b"GET http://site.test/ HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_for_a_proxy_is_refused(words: bytes) -> None:
    async with network(_repeat, *LISTED) as net:
        assert (await net.say(words)).startswith(b"HTTP/1.1 400")


async def test_a_second_request_on_the_same_connection_goes_nowhere() -> None:
    async with network(_tell_back, *LISTED) as net:
        one = b"GET http://site.test:%d/%b HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await net.say(one % (net.site, b"first"), one % (net.site, b"second"))
    assert b"/first" in answer
    assert b"/second" not in answer


async def test_a_place_that_does_not_answer_is_said_so() -> None:
    async with network(_repeat, "127.0.0.1:1", "nowhere.test") as net:
        assert b"502" in await net.say(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"not known" in await net.say(b"CONNECT nowhere.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_each_refused_destination_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with network(_repeat, *LISTED) as net:
        for host in (b"evil.test", b"evil.test", b"other.test"):
            await net.say(b"CONNECT %b:443 HTTP/1.1\r\nHost: x\r\n\r\n" % host)
    told = [
        record.getMessage().split(" was refused")[0] for record in caplog.records if record.name == "agent.egress.proxy"
    ]
    assert told == ["run run-1: evil.test:443", "run run-1: other.test:443"]


async def test_the_end_of_a_run_cuts_its_tunnels_and_frees_its_descriptors() -> None:
    before = psutil.Process().num_fds()
    async with network(_repeat, *LISTED) as net:
        tunnels = [await asyncio.open_connection("127.0.0.1", net.port) for _ in range(20)]
        for reader, writer in tunnels:
            writer.write(TUNNEL % (net.site, net.site))
            await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(10):
        assert [await reader.read() for reader, _ in tunnels] == [b""] * 20
        for _, writer in tunnels:
            writer.close()
        while psutil.Process().num_fds() > before + 2:
            await asyncio.sleep(0.01)
