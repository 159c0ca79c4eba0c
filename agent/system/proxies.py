"""Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in every form that other programs take them in."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

_SCHEMES = ("http", "https", "all")
_SUPPORTED = ("http", "https", "socks5", "socks5h")
_SAME_AS = {"socks": "socks5", "socks4": "socks5", "socks4a": "socks5h"}


class BadProxy(Exception):
    """A variable has a proxy that no program could use; the message names the variable, without a password."""


def read_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies by scheme: http, https, all. Raises BadProxy."""
    found = {scheme: _variable(environ, f"{scheme}_proxy") for scheme in _SCHEMES}
    return {scheme: _read(name, value) for scheme, (name, value) in found.items() if value}


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy to use for `url`; None: connect directly. Raises BadProxy."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    if is_direct(parts.hostname or "", port, environ):
        return None
    proxies = read_proxies(environ)
    return proxies.get(parts.scheme, proxies.get("all"))


def is_direct(host: str, port: int | None, environ: Mapping[str, str]) -> bool:
    """True if NO_PROXY names `host`: as itself, a parent domain, a network, or with its port."""
    return any(_matches(entry, host.lower().strip("[]"), port) for entry in _no_proxy(environ))


def proxy_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables of `environ` in the one form that httpx takes, loopback excepted from proxies.

    httpx reads them in every client of Prefect: an entry that it cannot parse ends the process. Raises BadProxy.
    """
    result: dict[str, str] = {}
    for scheme, proxy in read_proxies(environ).items():
        result |= {f"{scheme}_proxy": proxy, f"{scheme}_proxy".upper(): proxy}
    entries = [*filter(None, map(_for_httpx, _no_proxy(environ))), "127.0.0.1", "localhost", "::1"]
    if not result and len(entries) == 3:
        return {}
    no_proxy = ",".join(dict.fromkeys(entries))
    return result | {"no_proxy": no_proxy, "NO_PROXY": no_proxy}


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    # the small form wins everywhere; curl reads no other of http_proxy
    form = name if environ.get(name, "").strip() else name.upper()
    return form, environ.get(form, "").strip()


def _read(name: str, value: str) -> str:
    text = value.strip("\"'")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    scheme = _SAME_AS.get(parts.scheme, parts.scheme)
    try:
        port = parts.port
    except ValueError:
        raise BadProxy(f"{name} has no valid port") from None
    if scheme not in _SUPPORTED or not parts.hostname:
        raise BadProxy(f"{name} is no proxy's address: {parts.scheme}://{parts.hostname or ''}")
    credential, at, _ = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{credential}{at}{host}" + (f":{port}" if port else "")


def _no_proxy(environ: Mapping[str, str]) -> list[str]:
    _, value = _variable(environ, "no_proxy")
    return value.lower().replace(",", " ").split()


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, wanted_port = _split_port(entry)
    if wanted_port is not None and wanted_port != port:
        return False
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        domain = name.removeprefix("*").removeprefix(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        return name, int(port[1:]) if port[1:].isdecimal() else None
    name, colon, port = entry.rpartition(":")
    return (name, int(port)) if colon and ":" not in name and port.isdecimal() else (entry, None)


def _for_httpx(entry: str) -> str | None:
    if entry == "*":
        return entry
    name, port = _split_port(entry)
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        return f"{name.removeprefix('*')}:{port}" if port else name.removeprefix("*")
    if network.version == 4:
        return entry
    return name if network.prefixlen == 128 and port is None else None  # it takes no other form of IPv6
