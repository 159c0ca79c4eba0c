from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import NamedTuple

import httpx

# Everything else of IPv6 is ours, nobody's, or stands for an IPv4 address that may be.
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = [
    ipaddress.ip_network(network) for network in ("2002::/16", "2001:db8::/32", "3fff::/20", "192.88.99.0/24")
]


class NotPublic(Exception):
    """The host has an address in a private network, or none that may be asked."""


class NotFound(Exception):
    """The host's name is not known."""


class Pinned(NamedTuple):
    """A URL at the number of its host, and what the server has to be told of its name."""

    url: httpx.URL
    headers: dict[str, str]
    extensions: dict[str, str]


async def pin(url: httpx.URL) -> Pinned:
    """`url` at the address that was checked: a second look-up could give another one.

    Raises NotFound, or NotPublic if one of the host's addresses is not public.
    """
    name = url.raw_host.decode()
    addresses = await look_up(name, url.port or {"http": 80}.get(url.scheme, 443))
    if not addresses or not all(is_public(address) for address in addresses):
        raise NotPublic
    return Pinned(url.copy_with(host=addresses[0]), {"host": url.netloc.decode()}, {"sni_hostname": name})


async def look_up(host: str, port: int) -> list[str]:
    """All addresses of a host; raises NotFound."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotFound from None
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an address, as a number, is one of the public internet's."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:  # with a zone, so it is a link's own
        return False
    if isinstance(number, ipaddress.IPv6Address):
        number = number.ipv4_mapped or number
    if any(number in network for network in _NOT_PUBLIC if network.version == number.version):
        return False
    if isinstance(number, ipaddress.IPv6Address) and number not in _GLOBAL_V6:
        return False
    return number.is_global and not number.is_multicast
