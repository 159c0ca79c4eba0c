"""A host under attack: what there is to steal and to break, one run that tries it all, and the table of outcomes."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import httpx
from one_turn import start_turn
from pydantic import SecretStr

from agent.claude.turn import Turn
from agent.domain.checkout import Checkout
from agent.domain.events import Event
from agent.domain.request import AgentRequest
from agent.domain.result import Invocation, WorkspaceReport
from agent.provider.lease import Lease
from agent.provider.proxy import ProviderProxy
from agent.runtime import Runtime
from agent.settings import AgentSettings
from agent.system.files import remove
from agent.system.procfs import list_processes
from demo.offline_model.model import OfflineModel
from demo.repository import create_repository

World = Literal["sandbox", "open"]
"""With bubblewrap, and with AGENT_SANDBOX=off."""

Hold = Callable[[Turn, AgentRequest, Checkout], Awaitable[Invocation | None]]
"""Runs a turn to its end."""

LONGEST_DEED_SECONDS = 15
OTHER_RUN = "00000000-0000-0000-0000-00000000beef"


@dataclass(frozen=True)
class Attack:
    """One thing that a hostile agent does; by default it has succeeded if its script ends well.

    `accepted` says why one that goes through is not promised to be held; `later` is tried by the run that comes next.
    """

    name: str
    script: str = ""
    held_by: str = "not mounted in the sandbox"
    without: Literal["held", "not held", "either"] = "not held"
    breached: Callable[[Siege, Deed], bool] = field(default=lambda siege, deed: deed.exit_code == 0)
    accepted: str = ""
    later: str = ""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


@dataclass(frozen=True)
class Deed:
    """What became of one script."""

    exit_code: int
    output: str


def looted(siege: Siege, deed: Deed) -> bool:
    """Whether anything that was hidden has been seen."""
    return any(secret in deed.output for secret in siege.arena.loot.values())


@dataclass
class Siege:
    """A run that tried every attack of a class, and all that can be said of it afterwards."""

    arena: Arena
    world: World
    deeds: dict[Attack, Deed] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    invocation: Invocation | None = None
    report: WorkspaceReport | None = None
    lease: Lease | None = None
    lease_answers: int = 0
    run_id: str = ""
    mirror: Path = Path()
    left: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def said(self) -> str:
        """All that left the runtime: events, result, stderr, and what is told of git."""
        parts = [event.model_dump_json() for event in self.events]
        parts += [self.invocation.model_dump_json()] if self.invocation else []
        parts += [self.report.model_dump_json()] if self.report else []
        return "\n".join(parts)

    def verdict(self, attack: Attack) -> bool:
        """Whether the attack went through; fails for one that was never tried."""
        deed = self.deeds.get(attack, Deed(1, ""))
        assert not attack.script or attack in self.deeds, f"{attack.name}: it was not tried"
        broken = deed.exit_code in (126, 127) or "syntax error" in deed.output or "SyntaxError" in deed.output
        assert not broken, f"{attack.name}: it could not be tried: {deed.output[-500:]}"
        return attack.breached(self, deed)


class Arena:
    """A host's own world: secrets where a service keeps them, another run at work, and a process to spy upon."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.loot = {
            name: f"loot-{secrets.token_hex(20)}"
            for name in ("token", "auth", "database", "store", "named", "dotenv", "ssh", "kube", "other-run", "memory")
        }
        self.provider_key = f"sk-ant-api03-loot{secrets.token_hex(16)}"
        self.loot["provider"] = self.provider_key
        self.repository = create_repository(root / "repository")
        self.model = OfflineModel(require_key=self.provider_key)
        self._victim: subprocess.Popen[bytes] | None = None
        self._plant()

    def __enter__(self) -> Arena:
        self.model.__enter__()
        environment = {"API_BEARER_TOKEN": self.loot["token"], "PATH": os.environ["PATH"]}
        code = (
            f"import sys; kept = sys.stdin.read() * 2; print(len(kept), flush=True); sys.stdin = open({os.devnull!r})"
        )
        self._victim = subprocess.Popen(
            [sys.executable, "-c", f"{code}; import signal; signal.pause()"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._victim.stdin is not None
        assert self._victim.stdout is not None
        self._victim.stdin.write(self.loot["memory"].encode())
        self._victim.stdin.close()
        self._victim.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        if self._victim is not None:
            self._victim.kill()
            with self._victim:
                pass
        self.model.__exit__()
        # deeper than what clears away after tests can remove
        remove(self.root)

    @property
    def victim(self) -> int:
        """A process of the service's own user, with a secret in its environment and one in its memory."""
        assert self._victim is not None
        return self._victim.pid

    @cached_property
    def mark(self) -> str:
        """What the command lines of an attack's processes carry."""
        return f"siege-{secrets.token_hex(6)}"

    def alive(self, name: str) -> list[int]:
        """The processes that carry that name in their command lines."""
        wanted = f"{self.mark}-{name}".encode()
        found = []
        for pid, process in list_processes().items():
            try:
                if not process.is_zombie and wanted in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
            except OSError:
                continue
        return found

    def settings(self, world: World, **changes: Any) -> AgentSettings:
        """A host's settings, with one agent at a time."""
        usual = {
            "state_dir": self.state,
            "workspace_dir": str(self.repository),
            "anthropic_api_key": SecretStr(self.provider_key),
            "anthropic_base_url": self.model.url,
            "agent_capacity": 2,
            "agent_sandbox": "bwrap" if world == "sandbox" else "off",
            "agent_model_retries": 0,
        }
        return AgentSettings.model_validate(usual | changes)

    def words(self, world: World) -> str:
        """What an attacker may be taken to know of the place, as assignments.

        WORLD is for what would do harm where no sandbox holds it.
        """
        values = {
            "WORLD": world,
            "STATE": self.state,
            "ROOT": self.root,
            "VICTIM": self.victim,
            "SERVICE": os.getpid(),
            "MARK": self.mark,
            "KEY_BEGINS": "sk-ant-api03-loot",
            "REPOSITORY": self.repository,
            "VENV": sys.prefix,
        }
        return "\n".join(f"export {name}={shlex.quote(str(value))}" for name, value in values.items())

    def _plant(self) -> None:
        other = self.state / "runs" / OTHER_RUN
        files = {
            self.state / "prefect" / "auth-string": "auth",
            self.state / "prefect" / "prefect.db": "database",
            self.state / "store.db": "store",
            self.state / "secrets" / "deploy-key": "named",
            self.root / "service" / ".env": "dotenv",
            self.root / "homes" / "alice" / ".ssh" / "id_ed25519": "ssh",
            self.root / "homes" / "alice" / ".kube" / "config": "kube",
            other / "config" / ".credentials.json": "other-run",
            self.state / "slots" / "9" / "checkout" / "customers.csv": "other-run",
        }
        for path, name in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}={self.loot[name]}\n")
            path.chmod(0o600)
        for name in ("home", "tmp"):
            (other / name).mkdir()


def command(siege: Siege, attacks: Sequence[Attack], words: str = "") -> str:
    """One shell command that tries them all, each by itself, and notes what came of it in the checkout."""
    lines = [
        siege.arena.words(siege.world),
        words,
        "mkdir -p .deeds",
        f'attempt() {{ timeout -k 1 {LONGEST_DEED_SECONDS} bash -c "$2" > ".deeds/$1.out" 2>&1 < /dev/null; '
        'echo $? > ".deeds/$1.exit"; }',
        "attempt tools 'python3 -c \"import ctypes, socket, sqlite3\" && command -v git && command -v timeout'",
    ]
    lines += [f"attempt {number} {shlex.quote(attack.script)}" for number, attack in enumerate(attacks)]
    return "\n".join([*lines, "echo tried"])


def prompt(*steps: dict[str, Any]) -> str:
    """A prompt that makes the offline model do these."""
    return f"offline-model: {json.dumps([*steps, {'text': 'done'}])}"


def bash(script: str, **more: Any) -> dict[str, Any]:
    """A step that runs a script."""
    return {"tool": "Bash", "input": {"command": script, "timeout": 300_000, **more}}


async def besiege(
    arena: Arena, world: World, attacks: Sequence[Attack], *steps: dict[str, Any], words: str = "", **settings: Any
) -> Siege:
    """One run of the real CLI in which the agent tries these attacks, after `steps`."""
    siege = Siege(arena, world)
    scripted = [attack for attack in attacks if attack.script]
    await one_run(siege, prompt(*steps, bash(command(siege, scripted, words))), scripted, **settings)
    return siege


async def one_run(
    siege: Siege,
    text: str,
    attacks: Sequence[Attack] = (),
    *,
    hold: Hold | None = None,
    known: Sequence[str] = (),
    **settings: Any,
) -> None:
    """A whole run, as the service does one: a slot, a checkout, the CLI, and a look at what it left."""
    arena = siege.arena
    configured = arena.settings(siege.world, **settings)
    request = AgentRequest(prompt=text, agent="service-upgrade", timeout_seconds=300)
    async with ProviderProxy(configured) as provider:
        runtime = Runtime(configured, provider, secrets=[*arena.loot.values(), *known])
        await runtime.open()
        run_id = f"run-{secrets.token_hex(4)}"
        slot = await runtime.slots.acquire()
        checkout = await runtime.prepare(slot, request, run_id, allow_stale=False)
        async with start_turn(runtime, run_id, request, slot, checkout, siege.events.append) as turn:
            siege.lease = next(reversed(provider._leases.values()))
            siege.invocation = await (hold or _to_its_end)(turn, request, checkout)
        siege.lease_answers = await _answers(provider, siege.lease.token)
        _read_deeds(siege, checkout, attacks)
        siege.report = await runtime.collect(slot, checkout, run_id)
        siege.run_id, siege.mirror = run_id, checkout.snapshot.mirror
    siege.left = [path.name for path in (arena.state / "runs").iterdir() if path.name == run_id]


async def _to_its_end(turn: Turn, request: AgentRequest, checkout: Checkout) -> Invocation | None:
    return await turn.run(request.prompt)


async def _answers(provider: ProviderProxy, token: str) -> int:
    """What the proxy answers to a token."""
    async with httpx.AsyncClient(trust_env=False) as client:
        body = {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
        answer = await client.post(f"{provider.url}/v1/messages", json=body, headers={"x-api-key": token})
        return answer.status_code


def _read_deeds(siege: Siege, checkout: Checkout, attacks: Sequence[Attack]) -> None:
    place = checkout.path / ".deeds"
    if not attacks:
        return
    tools = place / "tools.exit"
    assert tools.is_file(), f"the script was not run: {siege.said()[-3000:]}"
    assert tools.read_text() == "0\n", f"the tools of the trade are missing: {(place / 'tools.out').read_text()}"
    for number, attack in enumerate(attacks):
        output = (place / f"{number}.out").read_text(errors="replace")
        siege.deeds[attack] = Deed(int((place / f"{number}.exit").read_text()), output)
