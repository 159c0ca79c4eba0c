"""Proxies of the environment, in each form that operators write them in."""

import httpx
import pytest

from agent.system.proxies import BadProxy, proxy_environment, proxy_for

PROVIDER = "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({"HTTPS_PROXY": "proxy.corp.example:3128"}, "http://proxy.corp.example:3128"),
        ({"https_proxy": "http://proxy:3128/"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": " http://user:pa%40ss@proxy:3128\n"}, "http://user:pa%40ss@proxy:3128"),
        ({"HTTPS_PROXY": "[fd00::1]:3128"}, "http://[fd00::1]:3128"),
        ({"HTTPS_PROXY": "http://first", "https_proxy": "http://second"}, "http://second"),
        ({"ALL_PROXY": "socks5h://127.0.0.1:1080"}, "socks5h://127.0.0.1:1080"),
        ({"all_proxy": "socks://127.0.0.1:1080"}, "socks5://127.0.0.1:1080"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "proxy:1", "NO_PROXY": "localhost, .anthropic.com"}, None),
        ({"HTTPS_PROXY": "proxy:1", "NO_PROXY": "*.anthropic.com"}, None),
        ({"HTTPS_PROXY": "proxy:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "proxy:1", "NO_PROXY": "api.anthropic.com:8443"}, "http://proxy:1"),
        ({"HTTPS_PROXY": "proxy:1", "NO_PROXY": "anthropic.co,thropic.com"}, "http://proxy:1"),
        ({"HTTPS_PROXY": ""}, None),
    ],
)
def test_a_proxy_is_read_in_each_form(environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(PROVIDER, environ) == proxy


@pytest.mark.parametrize("no_proxy", ["fd00::/8", "[fd00::2]", "fd00::2", "[fd00::2]:443", "::1 fd00::2"])
def test_no_proxy_takes_addresses_of_ipv6(no_proxy: str) -> None:
    environ = {"HTTPS_PROXY": "proxy:1", "NO_PROXY": no_proxy}
    assert proxy_for("https://[fd00::2]/v1", environ) is None
    assert proxy_for("https://[fe00::2]/v1", environ) == "http://proxy:1"


@pytest.mark.parametrize("value", ["ftp://proxy:21", "http://:3128", "proxy:port", "http://"])
def test_what_is_no_proxy_is_refused_by_the_variables_name(value: str) -> None:
    with pytest.raises(BadProxy, match="HTTPS_PROXY"):
        proxy_for(PROVIDER, {"HTTPS_PROXY": value})


@pytest.mark.parametrize(
    "no_proxy", ["[::1]", "fd00::/8", "*.corp.example", "[fd00::1]:80", "a.example:80 10.0.0.0/8", "", "*"]
)
def test_prefects_own_client_takes_what_becomes_of_them(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    found = proxy_environment({"HTTPS_PROXY": "proxy:3128", "ALL_PROXY": "socks5://proxy:1080", "NO_PROXY": no_proxy})
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    with httpx.Client(verify=False):
        pass
    assert "127.0.0.1" in found["NO_PROXY"]


def test_without_a_proxy_nothing_is_added() -> None:
    assert proxy_environment({"PATH": "/bin"}) == {}
