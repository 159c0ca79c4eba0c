from __future__ import annotations

import asyncio
import ipaddress
import socket

import httpx

from tasks.sources.errors import SourceFailed

Origin = tuple[str, str, int | None]


def origin(url: httpx.URL) -> Origin:
    """Who is asked: scheme, host, port."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


async def pin_public(url: httpx.URL) -> tuple[httpx.URL, dict[str, str]]:
    """The same address by its number, and what the server has to be told of its name.

    A name is looked up once: what was found public cannot be private at the second look. Raises SourceFailed.
    """
    if url.scheme not in ("http", "https"):
        raise SourceFailed(f"the server leads to {url.scheme}:, which is not followed")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SourceFailed(f"the server leads to {url.host}: {error}", retryable=True) from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    if not addresses or not all(_is_public(address) for address in addresses):
        raise SourceFailed(
            f"the server leads to {url.host}, a private address: not followed; if it is meant, set url to it"
        )
    return url.copy_with(host=str(addresses[0])), {"host": url.netloc.decode()}


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_global and not mapped.is_multicast
