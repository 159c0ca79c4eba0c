"""The services of compose.yaml, started by Docker's plain commands: no Compose of version 2 comes with Debian."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from engine import FILES, Engine, wait_until

COMPOSE = FILES / "docker" / "compose.yaml"
PREFIX = "agent-service-test-"


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the file with its variables filled in, as Compose does it."""

    def fill(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        value = variables.get(name, "")
        assert value or default != ":?", f"{name} is needed"
        return value or (default or "").removeprefix(":-")

    return dict(yaml.safe_load(re.sub(r"\$\{(\w+)(:\?|:-[^}]*)?\}", fill, COMPOSE.read_text())))


@contextmanager
def run_topology(engine: Engine, network: str, variables: Mapping[str, str], more: list[object]) -> Iterator[None]:
    """Run all services in the order of their conditions; `more` are words for each host."""
    compose = read_compose(variables)
    services = compose["services"]
    with ExitStack() as stack:
        volumes = [f"{PREFIX}{name}" for name in compose["volumes"]]
        engine.run("volume", "rm", "--force", *volumes)
        stack.callback(engine.run, "volume", "rm", "--force", *volumes, check=False)
        started: list[str] = []
        while len(started) < len(services):
            for name, service in services.items():
                if name not in started and set(service.get("depends_on", {})) <= set(started):
                    words = [*_words(name, service, network), *(more if name.startswith("host-") else [])]
                    stack.enter_context(engine.container(name, *words, *_command(service)))
                    if not service.get("healthcheck", {}).get("disable"):
                        wait_until(lambda name=name: _is_healthy(engine, name), f"{name} is healthy")
                    started.append(name)
        yield


def _is_healthy(engine: Engine, name: str) -> bool:
    state = engine.inspect(name)
    assert state["Running"], engine.run("logs", "--tail", 30, name)
    return bool(state["Health"]["Status"] == "healthy")


def _words(name: str, service: dict[str, Any], network: str) -> list[object]:
    words: list[object] = ["--network", network, "--network-alias", name]
    environment = dict(service.get("environment", {}))
    for file in service.get("env_file", []):
        words += ["--env-file", COMPOSE.parent / file]
    words += [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        words += ["--volume", f"{_place(source)}:{rest}"]
    words += [word for port in service.get("ports", []) for word in ("--publish", port)]
    words += [word for place in service.get("tmpfs", []) for word in ("--tmpfs", place)]
    words += [word for one in service.get("cap_drop", []) for word in ("--cap-drop", one)]
    for option in service.get("security_opt", []):
        words += [
            "--security-opt",
            option.replace(":", "=", 1).replace("seccomp.json", f"{COMPOSE.parent}/seccomp.json"),
        ]
    if service.get("read_only"):
        words.append("--read-only")
    health = service.get("healthcheck", {})
    if test := health.get("test"):
        words += ["--health-cmd", shlex.join(test[1:]), "--health-interval", health.get("interval", "30s")]
        words += ["--health-start-period", health.get("start_period", "0s")]
    elif health.get("disable"):
        words.append("--no-healthcheck")
    if entrypoint := service.get("entrypoint"):
        words += ["--entrypoint", entrypoint[0]]
    return words


def _place(source: str) -> str:
    if source.startswith("."):
        return str((COMPOSE.parent / source).resolve())
    return source if source.startswith("/") else f"{PREFIX}{source}"


def _command(service: dict[str, Any]) -> list[object]:
    return [service["image"], *service.get("entrypoint", [])[1:], *service.get("command", [])]


def write_stand_ins(engine: Engine, base: str, work: Path) -> None:
    """Build images by the names of the file's databases from Debian's own packages."""
    postgres = r"""
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin)
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    $bin/initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --encoding=UTF8 > /dev/null
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    $bin/pg_ctl -w -o "-c listen_addresses=''" start > /dev/null
    psql -U "$POSTGRES_USER" -d postgres -qc "CREATE DATABASE $POSTGRES_DB"
    for file in /docker-entrypoint-initdb.d/*; do psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -qf "$file"; done
    $bin/pg_ctl -w stop > /dev/null
fi
exec $bin/postgres -c listen_addresses='*'
"""
    work.mkdir(exist_ok=True)
    (work / "postgres.sh").write_text(postgres)
    install = "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends"
    engine.build(
        f"FROM {base}\n{install} postgresql\nCOPY postgres.sh /postgres.sh\nENV PGDATA=/var/lib/postgresql/data\n"
        "RUN mkdir -p $PGDATA && chown postgres: $PGDATA\nUSER postgres\n"
        'ENTRYPOINT ["bash", "/postgres.sh"]\n',
        "postgres:17",
        work,
    )
    # as the official image: without a password it would talk to its own container alone
    entrypoint = json.dumps(["sh", "-c", 'exec "$@" --protected-mode no', "sh"])
    engine.build(
        f'FROM {base}\n{install} redis-server\nWORKDIR /data\nENTRYPOINT {entrypoint}\nCMD ["redis-server"]\n',
        "redis:7",
        work,
    )
