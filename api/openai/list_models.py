"""Route GET /v1/models."""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter

from agent.domain.values import Frozen
from api.http.openapi import OpenAIErrorBody, error_responses
from api.openai.model_catalog import ModelCatalogDep

router = APIRouter(prefix="/v1", tags=["openai"])

_STARTED = int(time.time())


class Model(Frozen):
    """A value that can be requested as `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int = _STARTED
    owned_by: str = "claude-agent-service"


class ModelList(Frozen):
    """All values that can be requested as `model`."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models", responses=error_responses(401, model=OpenAIErrorBody))
async def list_models(catalog: ModelCatalogDep) -> ModelList:
    """The values that `model` can have: models, and `AGENT` or `AGENT/MODEL` for agents in OPENAI_COMPAT_AGENTS."""
    return ModelList(data=[Model(id=name) for name in catalog.ids])


# an id may contain slashes; some clients send them as %2F, others do not
@router.get("/models/{model:path}", responses=error_responses(401, 404, model=OpenAIErrorBody))
async def read_model(model: str, catalog: ModelCatalogDep) -> Model:
    """One model, or 404."""
    catalog.check(model)
    return Model(id=model)
