"""The register of deployments, read again without a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent.system.text import shorten
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.openapi import answers
from deployments.prefect_client.calls import calling_prefect
from deployments.registration.bootstrap import BOOTSTRAP, apply_register
from deployments.registration.register import RegisterError, find_register, read_register

_PATIENCE_SECONDS = 60.0

router = APIRouter(tags=["register"])


class Applied(BaseModel):
    """What Prefect has now."""

    register_path: str = Field(description="The file that was read, on the host's machine.")
    deployments: list[str]


@router.post("/register", responses=answers(401, 422, 503))
async def apply(host: HostDep) -> Applied:
    """Read the host's `prefect.yaml` again, and bring Prefect to it; a file with a mistake in it changes nothing."""
    path = find_register(Path.cwd())
    try:
        register = await asyncio.to_thread(read_register, path)
    except RegisterError as error:
        raise ApiError(422, shorten(str(error), 1000, keep="end")) from None
    async with host.store.turns.turn(BOOTSTRAP), calling_prefect(_PATIENCE_SECONDS):
        names = await apply_register(host.prefect, register)
    return Applied(register_path=str(path), deployments=names)
