"""What the pages tell people to type to a running service does what they say."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pages import PAGES, shell_blocks

from api.reference import PAGE, render_reference

if TYPE_CHECKING:
    from conftest import Service

_LIVE = re.compile(r"(?:JOB=\$\()?curl |\.venv/bin/agent-service (?:run|jobs)\b|cat ")


def _is_live(block: str) -> bool:
    """It needs nothing but the service, and nothing of the reader's own."""
    lines = block.replace("\\\n", " ").splitlines()
    return "…" not in block and all(_LIVE.match(line) for line in lines)


BLOCKS = [(page, block) for page in PAGES for block in shell_blocks(page) if _is_live(block)]


async def type_in(block: str, service: Service) -> tuple[int, str, str]:
    """What a shell makes of the block, as the service's user has set it up."""
    binaries = Path(sys.executable).parent
    address = service.url.removeprefix("http://")
    script = block.replace("localhost:8080", address).replace(".venv/bin/", f"{binaries}/")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(service.stage.directory),
        "API_BEARER_TOKEN": service.token,
        "API_PORT": service.url.rsplit(":", 1)[1],
        "STATE_DIR": str(service.stage.state_dir),
    }
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, env=environment, stdout=-1, stderr=-1, cwd=service.stage.directory
    )
    said, trouble = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, said.decode(), trouble.decode()


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=lambda value: value.name if isinstance(value, Path) else "sh")
async def test_a_block_works_as_it_stands(page: Path, block: str, service: Service) -> None:
    status, said, trouble = await type_in(block, service)
    assert status == 0, trouble
    if "curl" in block:
        answer = json.loads(said)
        assert "detail" not in answer
        assert answer.get("status", "completed") == "completed"
        assert answer.get("result") or answer["choices"][0]["message"]["content"]
    elif "auth-string" in block:
        assert said.strip() == service.stage.prefect_auth
    else:
        assert "offline model" in said
        assert "general-purpose" in said


def test_the_pages_for_newcomers_are_tried() -> None:
    assert {page.name for page, _ in BLOCKS} >= {"README.md", "quickstart.md"}
    assert len(BLOCKS) >= 5


async def test_the_page_of_the_http_api_is_what_the_service_says_of_itself(service: Service) -> None:
    document = (await service.client.get("/openapi.json")).json()
    assert render_reference(document) == PAGE.read_text(), "run `make docs`"
