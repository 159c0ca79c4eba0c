"""Route to apply prefect.yaml again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent.system.text import shorten
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.openapi import error_responses
from deployments.prefect_client.calls import calling_prefect
from deployments.registration.bootstrap import BOOTSTRAP, apply_register
from deployments.registration.parameters import request_check
from deployments.registration.register import RegisterError, find_register, read_register
from deployments.registration.storage_block import save_storage_block
from deployments.standalone.prefect_environment import prefect_home

_TIMEOUT_SECONDS = 60.0

router = APIRouter(tags=["register"])


class Applied(BaseModel):
    """The deployments in Prefect after the request."""

    register_path: str = Field(description="The path of the file on the host's machine.")
    deployments: list[str]


@router.post("/register", responses=error_responses(401, 422, 503))
async def apply(host: HostDep) -> Applied:
    """Read the host's `prefect.yaml` again and update Prefect. A file with an error changes nothing."""
    path = find_register(Path.cwd())
    try:
        register = await asyncio.to_thread(read_register, path, request_check(host.runtime.settings))
        async with host.store.locks.acquire(BOOTSTRAP), calling_prefect(_TIMEOUT_SECONDS):
            await save_storage_block(prefect_home(host.runtime.settings.state_dir) / "storage")
            names = await apply_register(host.prefect, register, host.settings.lost_after)
    except RegisterError as error:
        raise ApiError(422, shorten(str(error), 1000, keep="end")) from None
    return Applied(register_path=str(path), deployments=names)
