"""A sandbox whose only network is our proxy, with the programs that agents use; what they reach is on loopback."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest

from agent.claude.process import AgentProcess
from agent.domain.errors import NotConfigured, SpawnFailed
from agent.egress.allowlist import read_destinations
from agent.egress.gateway import open_gateway, proxy_variables, wait_for_gateway
from agent.egress.resolver import Resolver
from agent.sandbox.bubblewrap import SandboxSpec, bubblewrap_argv
from agent.sandbox.probe import probe_sandbox
from agent.sandbox.sandbox import Sandbox
from agent.settings import AgentSettings

SANDBOX = probe_sandbox("auto")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(SANDBOX.bubblewrap is None, reason=f"needs bubblewrap: {SANDBOX.reason}"),
]


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


class Cell:
    """Runs scripts in cells whose names `site.test` lead to this machine."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        for name in ("checkout", "config", "tmp", "home"):
            (root / name).mkdir(exist_ok=True)

    @asynccontextmanager
    async def start(self, script: str) -> AsyncIterator[AgentProcess]:
        plan = SandboxSpec(
            checkout=self.root / "checkout",
            mounted_at=Path("/workspace/default"),
            config_dir=self.root / "config",
            tmp_dir=self.root / "tmp",
            home_dir=self.root / "home",
            network=False,
        )
        assert SANDBOX.bubblewrap is not None
        argv = wait_for_gateway(
            bubblewrap_argv(plan, ["/bin/bash", "-c", script], SANDBOX.bubblewrap), self.root / "gate"
        )
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **plan.variables(), **proxy_variables()}
        allowed = read_destinations([f"site.test:{self.port}", f"127.0.0.1:{self.port}"])
        routes = Resolver(allowed, lambda _: [ip_address("127.0.0.1")], set)
        process = await AgentProcess.start(argv, environment, Path("/"))
        try:
            async with open_gateway(process.pid, self.root / "gate", routes, lambda: "run-1"):
                yield process
        finally:
            await process.end()

    async def run(self, script: str) -> str:
        async with self.start(script) as process, asyncio.timeout(60):
            lines = [line async for line in process.lines()]
        return "\n".join([*lines, process.stderr])  # which is all there once it has ended


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A site on loopback that speaks TLS as site.test: its directory, with its certificate, and its port."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    root = tmp_path_factory.mktemp("site")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=site.test -addext subjectAltName=DNS:site.test"
    keys = ["-keyout", str(root / "key.pem"), "-out", str(root / "certificate.pem")]
    subprocess.run(["openssl", *words.split(), *keys], check=True, capture_output=True)
    (root / "page").write_text("a page of the site\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root / "certificate.pem", root / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(root)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield root, server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cell(site: tuple[Path, int], tmp_path: Path) -> Cell:
    cell = Cell(tmp_path, site[1])
    shutil.copyfile(site[0] / "certificate.pem", cell.root / "checkout" / "ca.pem")
    return cell


async def test_curl_reaches_what_is_listed_and_nothing_else(cell: Cell) -> None:
    said = await cell.run(
        "exec 2>&1; cd /workspace/default; export CURL_CA_BUNDLE=$PWD/ca.pem\n"
        f"curl -sS https://site.test:{cell.port}/page\n"
        "curl -sS https://other.test/; curl -sS http://other.test/\n"
        f"curl -sS --noproxy '*' --max-time 5 https://127.0.0.1:{cell.port}/page"
    )
    first, second, third, fourth = said.strip().splitlines()
    assert first == "a page of the site"
    assert "403" in second
    assert third == "other.test:80 was refused: it is not in AGENT_EGRESS_ALLOW"
    assert "onnect" in fourth, "there is no route but through the proxy"


async def test_git_clones_over_https(cell: Cell, site: tuple[Path, int]) -> None:
    repository = site[0] / "repository.git"
    make = (
        f"git init -q -b main {repository}.work && cd {repository}.work && "
        "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m 'the first' && "
        f"git clone -q --bare . {repository} && git -C {repository} update-server-info"
    )
    await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", make], check=True)
    said = await cell.run(
        "cd /workspace/default; export GIT_SSL_CAINFO=$PWD/ca.pem\n"
        f"git clone -q https://site.test:{cell.port}/repository.git clone && git -C clone log --format=%s"
    )
    assert said.strip() == "the first"


async def test_a_server_of_the_agents_own_is_near(cell: Cell) -> None:
    said = await cell.run(
        "cd /tmp; echo mine > page; python3 -m http.server --bind 127.0.0.1 8000 > /dev/null 2>&1 &\n"
        "curl -sS --retry 50 --retry-delay 0 --retry-all-errors http://127.0.0.1:8000/page 2> /dev/null"
    )
    assert said.strip() == "mine"


async def test_the_agent_is_started_only_when_the_way_is_open(cell: Cell) -> None:
    """The very first thing that runs in the cell finds it; and the gate is not in there."""
    for _ in range(3):
        said = await cell.run("(exec 3<>/dev/tcp/127.0.0.1/3128) && echo open; ls /proc/self/fd | tr '\\n' ' '")
        opened, descriptors, *_ = said.splitlines()
        assert opened == "open"
        assert "9" not in descriptors.split()


async def test_the_proxy_goes_with_its_cell(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cell.start("exec 3<>/dev/tcp/127.0.0.1/3128; echo in; cat <&3; sleep 100") as process:
        assert await anext(process.lines()) == "in"
    assert process.exit_code is not None


async def test_a_cell_that_cannot_be_built_says_why_itself(cell: Cell) -> None:
    shutil.rmtree(cell.root / "checkout")
    said = await cell.run("true")
    assert "bwrap" in said
    assert "checkout" in said


async def test_a_helper_that_fails_fails_the_start(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SpawnFailed, match="connected to the egress proxy"):
        await cell.run("echo started")


def test_a_list_without_the_network_that_it_is_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="AGENT_NETWORK=allow"):
        Sandbox(AgentSettings(state_dir=tmp_path, agent_egress_allow=["example.com"]))


def test_without_cells_there_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="AGENT_NETWORK=allow needs a sandbox"):
        Sandbox(AgentSettings(state_dir=tmp_path, agent_sandbox="off", agent_network="allow"))
