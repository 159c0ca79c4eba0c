"""The ids that chat callers may ask for as a `model`: models, and agents where a setting exposes them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from agent.claude.process_spec import ProcessSpec
from agent.domain.request import AgentRequest
from agent.domain.values import Frozen
from api.http.errors import ApiError
from api.settings import ApiSettings


class ModelChoice(Frozen):
    """Who answers; without a model the agent's own file decides."""

    agent: str
    model: str | None


class ModelCatalog:
    """Every id with what it stands for; a model's name means the model, even if an agent is called so."""

    def __init__(self, settings: ApiSettings) -> None:
        self._default = settings.default_model
        models = sorted({*settings.supported_models, settings.default_model})
        agents = settings.openai_compat_agents
        self._ids = {
            **{f"{agent}/{model}": ModelChoice(agent=agent, model=model) for agent in agents for model in models},
            **{agent: ModelChoice(agent=agent, model=None) for agent in agents},
            **{model: ModelChoice(agent=settings.openai_compat_agent, model=model) for model in models},
        }

    @property
    def ids(self) -> list[str]:
        """All of them, sorted."""
        return sorted(self._ids)

    def name(self, asked: str | None) -> str:
        """The id that an answer carries: the one asked for, or the default."""
        return self._default if asked is None else asked

    def choose(self, asked: str | None) -> ModelChoice:
        """What an id stands for; raises ApiError for one that is not listed."""
        name = self.name(asked)
        if name not in self._ids:
            raise self._unsupported(name, 400)
        return self._ids[name]

    def check(self, name: str) -> None:
        """Raises ApiError, as of something that is not there, for an id that is not listed."""
        if name not in self._ids:
            raise self._unsupported(name, 404)

    def _unsupported(self, name: str, status_code: int) -> ApiError:
        return ApiError(
            status_code,
            f"unsupported model: {name[:100]!r}; supported are {', '.join(self.ids)}",
            words="unsupported model",
            param="model",
            code="model_not_found",
            extra={"supported": self.ids},
        )


def _model_catalog(request: Request) -> ModelCatalog:
    catalog: ModelCatalog = request.app.state.model_catalog
    return catalog


ModelCatalogDep = Annotated[ModelCatalog, Depends(_model_catalog)]

JOB_MOLD = ProcessSpec.of(AgentRequest(prompt="any", agent="any"))
"""A job with the limits that hold for whoever names none."""


def chat_mold(settings: ApiSettings) -> ProcessSpec:
    """A chat completion of a caller who chooses nothing."""
    chosen = ModelCatalog(settings).choose(None)
    return ProcessSpec(agent=chosen.agent, model=chosen.model, max_budget_usd=settings.openai_compat_budget_usd)
