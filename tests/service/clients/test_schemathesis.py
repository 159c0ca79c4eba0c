"""schemathesis against the running service: /openapi.json tells of every answer, and none is a failure of ours."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from demo.service import Stage

OPERATORS_TAGS = ("register", "switch", "triage")
CONFIG = Path(__file__).parent / "schemathesis.toml"


@pytest.fixture
def attack(stage: Stage, thorough: bool) -> list[str]:
    """The command, with all its checks: what is fast and certain, or all it can think of."""
    pytest.importorskip("schemathesis", reason="schemathesis is not installed: make install brings it")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "--no-color", "run"]
    command += [f"{stage.url}/openapi.json", "--header", f"Authorization: Bearer {stage.token}", "--checks", "all"]
    command += ["--continue-on-failure", "--no-shrink", "--warnings", "off", "--generation-database", "none"]
    if thorough:
        return [*command, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "15"]
    left_out = [word for tag in OPERATORS_TAGS for word in ("--exclude-tag", tag)]
    left_out += ["--exclude-path", "/jobs/{job_id}/rerun"]
    return [*command, "--phases", "examples,fuzzing", "--max-examples", "2", "--seed", "1", *left_out]


def test_every_answer_is_documented_and_none_is_a_failure_of_ours(
    attack: list[str], stage: Stage, tmp_path: Path
) -> None:
    try:
        done = subprocess.run(attack, cwd=tmp_path, capture_output=True, text=True, timeout=1500, check=False)
    finally:
        # it has tried the kill switch, too
        headers = {"Authorization": f"Bearer {stage.token}"}
        httpx.post(f"{stage.url}/resume", headers=headers, timeout=60).raise_for_status()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"\d{2,} generated", done.stdout), done.stdout
