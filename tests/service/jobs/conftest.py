"""The jobs of the service that all tests share."""

from __future__ import annotations

from typing import Any

import pytest
from job_client import Jobs


@pytest.fixture
async def jobs(service: Any) -> Jobs:
    return Jobs(service.client, service.stage)
