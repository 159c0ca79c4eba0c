"""The models that there are, in the form that clients fill their pickers with."""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter

from agent.domain.values import Frozen
from api.http.openapi import OpenAIErrorBody, answers
from api.openai.model_catalog import ModelCatalogDep

router = APIRouter(prefix="/v1", tags=["openai"])

_STARTED = int(time.time())


class Model(Frozen):
    """Something that can be asked for as `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int = _STARTED
    owned_by: str = "claude-agent-service"


class ModelList(Frozen):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models", responses=answers(401, model=OpenAIErrorBody))
async def list_models(catalog: ModelCatalogDep) -> ModelList:
    """What can be asked for: models, and `AGENT` or `AGENT/MODEL` where OPENAI_COMPAT_AGENTS exposes agents."""
    return ModelList(data=[Model(id=name) for name in catalog.ids])


# an id may have slashes in it, and clients do not agree on whether to write them as %2F
@router.get("/models/{model:path}", responses=answers(401, 404, model=OpenAIErrorBody))
async def read_model(model: str, catalog: ModelCatalogDep) -> Model:
    """One of them."""
    catalog.check(model)
    return Model(id=model)
