from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address


_NAT64 = IPv6Network("64:ff9b::/96")


def read_address(host: str) -> Address | None:
    """The address that `host` is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


def is_public(address: Address) -> bool:
    """Whether it is anybody's on the internet: not private, loopback, link-local, a group, or kept for later."""
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
