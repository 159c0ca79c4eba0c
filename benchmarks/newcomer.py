"""The way of a newcomer, timed: from a fresh clone to the first answer, by the commands of the README as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from demo.offline_model.model import OfflineModel
from demo.repository import create_repository
from demo.service import free_ports, stop

ROOT = Path(__file__).parents[1]
START_SECONDS = 40.0
ANSWER_SECONDS = 60.0
_PATIENCE_SECONDS = 600.0
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TO_FILL_IN = re.compile(r"^export (\w+)=….*$", re.MULTILINE)


class Lost(Exception):
    """A newcomer would not know how to go on; the message says where."""


def main() -> int:
    """Go the way once, print how long each part took, and give 1 where a part took too long or failed."""
    with (
        tempfile.TemporaryDirectory(prefix="newcomer-", ignore_cleanup_errors=True) as scratch,
        OfflineModel() as model,
    ):
        try:
            return _judge(*_go(Path(scratch), model.url))
        except Lost as lost:
            print(f"newcomer: {lost}", file=sys.stderr)
            return 1


def _judge(install: float, start: float, answer: float) -> int:
    print(f"make install          {install:6.1f} s")
    print(f"our own start         {start:6.1f} s   bound {START_SECONDS:.0f} s")
    print(f"install to answer     {answer:6.1f} s   bound {ANSWER_SECONDS:.0f} s")
    return 0 if start <= START_SECONDS and answer <= ANSWER_SECONDS else 1


def _go(scratch: Path, model_url: str) -> tuple[float, float, float]:
    clone, home = scratch / "clone", scratch / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    install, run, ask = _read_commands((clone / "README.md").read_text())
    origin = create_repository(scratch / "workspace")
    environment = _environment(home, model_url, {"WORKSPACE_DIR": str(origin)})
    began = time.monotonic()
    _shell(install, clone, environment)
    installed = time.monotonic()
    with _service(run, clone, environment) as process:
        _wait_until_ready(process, environment)
        ready = time.monotonic()
        answer = _shell(ask.replace(":8080", f":{environment['API_PORT']}"), clone, environment)
        answered = time.monotonic()
    print(_text(answer))
    return installed - began, ready - installed, answered - installed


def _read_commands(readme: str) -> tuple[str, str, str]:
    """What installs, what starts, and what asks, as the README has it; what is to be filled in is left out."""
    blocks = _BLOCK.findall(readme)
    start = next((block for block in blocks if "agent-service up" in block), None)
    ask = next((block for block in blocks if block.startswith("curl ")), None)
    if start is None or ask is None:
        raise Lost("the README does not say how to start the service, or how to ask it")
    lines = _TO_FILL_IN.sub("", start).splitlines(keepends=True)
    install = "".join(line for line in lines if line.startswith("make "))
    return install, "".join(line for line in lines if not line.startswith("make ")), ask


def _environment(home: Path, model_url: str, values: dict[str, str]) -> dict[str, str]:
    """A shell of somebody who has only just come: a key, a token, a workspace, and nothing of this checkout."""
    api_port, prefect_port = free_ports(2)
    # how pip reaches an index, and through which proxy, is the machine's and no part of the way
    kept = {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("_proxy")
    }
    configured = Path.home() / ".config" / "pip" / "pip.conf"
    if configured.exists():
        kept.setdefault("PIP_CONFIG_FILE", str(configured))
    return {
        **kept,
        "PATH": os.pathsep.join(
            part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if not part.startswith(str(ROOT))
        ),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ANTHROPIC_API_KEY": "offline",
        "ANTHROPIC_BASE_URL": model_url,
        "API_BEARER_TOKEN": "a-secret-word",
        "API_PORT": str(api_port),
        "PREFECT_SERVER_API_PORT": str(prefect_port),
        **values,
    }


def _shell(script: str, directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Lost(f"{script.strip()!r} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _service(script: str, directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    log = directory.parent / "service.log"
    # the shell is replaced by the service, so that a signal reaches it as a person's Ctrl-C does
    script = re.sub(r"^(\.venv/bin/agent-service up)$", r"exec \1", script, flags=re.MULTILINE)
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-euc", script],
            cwd=directory,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    except Lost as lost:
        raise Lost(f"{lost}; the service said: {log.read_text(errors='replace')[-2000:]}") from None
    finally:
        stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with httpx.Client(base_url=f"http://127.0.0.1:{environment['API_PORT']}", trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get("/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    raise Lost("the service is not ready")


def _text(answer: str) -> str:
    try:
        text = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError):
        raise Lost(f"no answer: {answer[:500]}") from None
    return "\n".join(f"  {line}" for line in str(text).splitlines())


if __name__ == "__main__":
    if shutil.which("curl") is None:
        sys.exit("newcomer: the README's commands need curl")
    sys.exit(main())
