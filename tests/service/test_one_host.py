"""One state directory, one host: a second `agent-service up` on it is refused, and says whose it is."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from demo.service import free_ports

if TYPE_CHECKING:
    from conftest import Service

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("part", [[], ["--only", "host"], ["--only", "prefect"]], ids=["all", "host", "prefect"])
async def test_a_second_one_is_refused(service: Service, part: list[str]) -> None:
    api, prefect = free_ports(2)
    environment = {name: os.environ[name] for name in ("PATH", "HOME")} | {
        "STATE_DIR": str(service.stage.state_dir),
        "API_PORT": str(api),
        "API_BEARER_TOKEN": service.token,
        "PREFECT_SERVER_API_PORT": str(prefect),
        "ANTHROPIC_API_KEY": "offline",
    }
    if part == ["--only", "host"]:
        environment["PREFECT_API_URL"] = f"{service.stage.prefect_url}/api"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "up", *part),
        env=environment,
        cwd=service.stage.directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    assert process.returncode not in (0, None)
    said = printed.decode().replace("\n", " ")
    assert f"{service.stage.state_dir} is used by process" in said.replace("  ", " ")
    assert "STATE_DIR" in said
    assert (await service.client.get("/health")).json()["status"] == "ok"
