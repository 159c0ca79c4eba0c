"""An offline model for each test, and the real CLI pointed at it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from offline_claude import Claude

from demo.offline_model.model import OfflineModel


@pytest.fixture
def anyio_backend() -> str:
    """Run every asynchronous test on asyncio."""
    return "asyncio"


@pytest.fixture
async def model() -> AsyncIterator[OfflineModel]:
    """An offline model of the test's own."""
    async with OfflineModel() as model:
        yield model


@pytest.fixture
def claude(model: OfflineModel, tmp_path: Path) -> Claude:
    """The real CLI in a fresh directory, with `model` as its API."""
    directory, home = tmp_path / "checkout", tmp_path / "home"
    for path in (directory, home, tmp_path / "claude-tmp"):
        path.mkdir()
    return Claude(
        directory=directory,
        environment={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "CLAUDE_CODE_TMPDIR": str(tmp_path / "claude-tmp"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "IS_SANDBOX": "1",
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": "sk-offline",
        },
    )
