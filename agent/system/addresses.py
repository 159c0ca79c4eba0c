"""Decides if an IP address is on the public internet (SSRF rule), with every IPv6 form of an IPv4 address refused.

One rule for the egress proxy, the HTTP sources of triages, images by URL and callbacks.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

import httpx

Address = IPv4Address | IPv6Address

# IANA's registry of special-purpose IPv4 addresses (2025-10), all that is not globally reachable, and besides:
# group and reserved addresses, 192.0.0.0/24 whole, deprecated anycast, and a cloud's own host.
_SPECIAL_V4 = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private use
    "100.64.0.0/10",  # shared address space of providers; Alibaba's metadata service
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's own services, from inside of a virtual network: public by its number alone
    "169.254.0.0/16",  # link-local; the metadata service of most clouds
    "172.16.0.0/12",  # private use
    "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays, deprecated
    "192.168.0.0/16",  # private use
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)

# All that IANA has given out as global unicast lies in 2000::/3. Outside of it: loopback, fe80::/10, fc00::/7,
# fec0::/10 (site-local), ff00::/8, 5f00::/16 (SRv6), 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64), 100::/64 (discard).
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = (
    "2001::/23",  # protocol assignments; Teredo, which stands for an IPv4 address
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which stands for an IPv4 address
    "3ffe::/16",  # 6bone, given back
    "3fff::/20",  # documentation
)

_V4 = tuple(map(IPv4Network, _SPECIAL_V4))
_V6 = tuple(map(IPv6Network, _SPECIAL_V6))
_NAT64 = IPv6Network("64:ff9b::/96")


class NotPublic(Exception):
    """The host has an address that is not on the public internet."""


class NotFound(Exception):
    """The host's name is not known."""


class Pinned(NamedTuple):
    """A URL with the host's address in place of its name, and what a request needs to name the host all the same."""

    url: httpx.URL
    headers: dict[str, str]
    extensions: dict[str, str]


def read_address(host: str) -> Address | None:
    """Return the address that `host` is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


def is_public(address: Address) -> bool:
    """True if the address is on the public internet.

    Of the forms in which IPv6 writes an IPv4 address, ::ffff:a.b.c.d counts as that address. The others (NAT64, 6to4,
    Teredo, IPv4-compatible) are not public: a relay decides where they lead.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:  # an address of one link
            return False
        if address.ipv4_mapped is None:
            return address in _GLOBAL_UNICAST_V6 and not any(address in network for network in _V6)
        address = address.ipv4_mapped
    return not any(address in network for network in _V4)


async def pin_public(url: httpx.URL) -> Pinned:
    """Return `url` at the public address of its host. Raises NotFound, or NotPublic if one of the host's is not.

    The address that was checked is the one that is asked: a second look-up could give another one.
    """
    name = url.raw_host.decode()
    found = await resolve_host(name, url.port or {"http": 80}.get(url.scheme, 443))
    addresses = [address for one in found if (address := read_address(one)) is not None]
    if len(addresses) != len(found) or not addresses or not all(is_public(address) for address in addresses):
        raise NotPublic(f"{name} has an address that is not public")
    return Pinned(url.copy_with(host=str(addresses[0])), {"host": url.netloc.decode()}, {"sni_hostname": name})


async def resolve_host(host: str, port: int) -> list[str]:
    """Return all addresses of a host. Raises NotFound."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotFound(f"{host} is not known: {error}") from None
    return [str(entry[4][0]) for entry in found]
