"""What AGENT_EGRESS_ALLOW means."""

from ipaddress import ip_address

import pytest

from agent.domain.errors import NotConfigured
from agent.egress.allowlist import Allowlist, Destination, read_destinations

PRIVATE = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fd00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::"),
]


@pytest.fixture
def some() -> Allowlist:
    return read_destinations(["Example.com", "*.example.org:8443", "127.0.0.1:9000", "10.0.0.0/8", "[fd00::1]:80"])


@pytest.mark.parametrize(
    ("host", "port"),
    [
        *(("example.com", 80), ("example.com", 443), ("a.example.org", 8443), ("a.b.example.org", 8443)),
        *(("127.0.0.1", 9000), ("10.2.3.4", 443), ("fd00::1", 80), ("::ffff:10.2.3.4", 443)),
    ],
)
def test_what_is_listed_may_be_asked_for(some: Allowlist, host: str, port: int) -> None:
    assert some.lists(Destination(host, port))


@pytest.mark.parametrize(
    ("host", "port"),
    [
        *(("example.com", 8080), ("www.example.com", 443), ("example.com.evil.test", 443), ("notexample.com", 443)),
        *(("example.org", 8443), ("evilexample.org", 8443), ("a.example.org", 443)),
        *(("127.0.0.1", 80), ("127.0.0.2", 9000), ("11.0.0.1", 443), ("8.8.8.8", 443), ("localhost", 9000)),
    ],
)
def test_what_is_not_listed_may_not(some: Allowlist, host: str, port: int) -> None:
    assert not some.lists(Destination(host, port))


@pytest.mark.parametrize("address", PRIVATE)
def test_a_listed_name_leads_to_no_private_address(address: str) -> None:
    everything = read_destinations(["*"])
    assert not everything.allows(ip_address(address), 443)


def test_a_star_is_the_internet_and_not_this_machine() -> None:
    everything, own = read_destinations(["*"]), [ip_address("93.184.216.34")]
    assert everything.lists(Destination("anything.test", 443))
    assert everything.lists(Destination("93.184.216.34", 443))
    assert everything.allows(ip_address("93.184.216.34"), 443)
    assert not everything.allows(ip_address("93.184.216.34"), 443, own)


def test_an_address_that_is_listed_is_reached_whatever_it_is(some: Allowlist) -> None:
    assert some.allows(ip_address("10.2.3.4"), 443)
    assert some.allows(ip_address("::ffff:10.2.3.4"), 443)
    assert not some.allows(ip_address("10.2.3.4"), 22)


@pytest.mark.parametrize(
    "entry", ["http://example.com", "a b", "example.com:0", "example.com:99999", "", "*x.test", "a*.test", "10.0.0.1/8"]
)
def test_an_entry_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(NotConfigured, match="AGENT_EGRESS_ALLOW"):
        read_destinations([entry])
