"""One rule of public addresses, for agents' network, sources, images and callbacks."""

from ipaddress import ip_address

import httpx
import pytest

from agent.egress.allowlist import read_destinations
from agent.system import addresses
from agent.system.addresses import NotFound, NotPublic, is_public, pin_public, read_address, unwrapped

PUBLIC = [
    *("8.8.8.8", "93.184.216.34", "1.1.1.1", "168.63.129.17", "192.31.196.1", "192.88.98.255", "223.255.255.255"),
    *("2606:2800:220:1::1", "2001:4860:4860::8888", "2a00:1450::1", "2620:4f:8000::1", "::ffff:8.8.8.8"),
]
# three rules that this one replaces gave different answers for several of them
NOT_PUBLIC = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200"),
    *("0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.192", "192.0.0.9"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "168.63.129.16"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "2606:2800::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::2", "ff02::1"),
    *("::127.0.0.1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::"),
    *("2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:2::1", "2001:20::1", "2001:db8::1"),
    *("3fff::1", "3ffe::1", "5f00::1", "4000::1", "100::1", "200::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_these_are_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert read_destinations(["*"]).allows(ip_address(address), 443)


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_these_are_not_and_nothing_of_ours_goes_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve_host(host: str, port: int) -> list[str]:
        return ["8.8.8.8", address]

    assert not is_public(ip_address(address))
    assert not read_destinations(["*", "0.0.0.1"]).allows(ip_address(address), 443)
    monkeypatch.setattr(addresses, "resolve_host", resolve_host)
    with pytest.raises(NotPublic):
        await pin_public(httpx.URL("https://images.example/x"))


async def test_a_request_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve_host(host: str, port: int) -> list[str]:
        assert (host, port) == ("images.example", 8443)
        return ["2606:2800:220:1::1"]

    monkeypatch.setattr(addresses, "resolve_host", resolve_host)
    pinned = await pin_public(httpx.URL("https://images.example:8443/x?y"))
    assert str(pinned.url) == "https://[2606:2800:220:1::1]:8443/x?y"
    assert pinned.headers == {"host": "images.example:8443"}
    assert pinned.extensions == {"sni_hostname": "images.example"}


@pytest.mark.parametrize("url", ["http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://[::1]/"])
async def test_numbers_in_any_spelling_are_judged(url: str) -> None:
    with pytest.raises((NotPublic, NotFound)):
        await pin_public(httpx.URL(url))


def test_a_name_is_no_address_and_an_embedded_one_is_found() -> None:
    assert read_address("example.com") is None
    for form in ("10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:0:0:0:0:f5ff:fffe"):
        assert unwrapped(ip_address(form)) == ip_address("10.0.0.1"), form


def test_a_network_that_is_listed_is_reached_in_every_form() -> None:
    listed = read_destinations(["10.0.0.0/8", "[64:ff9b::]:443"])
    assert listed.allows(ip_address("64:ff9b::a00:1"), 443)
    assert read_destinations(["64:ff9b::/96"]).allows(ip_address("64:ff9b::808:808"), 443)
