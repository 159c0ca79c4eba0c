"""Model ids that callers may request, and the processes to keep warm for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from agent.claude.process_spec import ProcessSpec
from agent.domain.request import AgentRequest
from agent.domain.values import Frozen
from api.http.errors import ApiError
from api.settings import ApiSettings


class ModelChoice(Frozen):
    """The agent and the model for an id; made by ModelCatalog.

    Without a model the agent's file decides; without an agent it is that of ChatAgent.
    """

    agent: str | None
    model: str | None


class ModelCatalog:
    """All model ids; one per application. An id that is both a model and an agent means the model."""

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
        """All ids, sorted."""
        return sorted(self._ids)

    def id_of(self, requested: str | None) -> str:
        """Return the id for an answer: the requested one, or the default."""
        return self._default if requested is None else requested

    def choose(self, requested: str | None) -> ModelChoice:
        """Return the agent and the model of an id. Raises ApiError 400 for an unknown one."""
        name = self.id_of(requested)
        if name not in self._ids:
            raise self._unsupported(name, 400)
        return self._ids[name]

    def check(self, name: str) -> None:
        """Raise ApiError 404 for an unknown id."""
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

JOB_PROCESS_SPEC = ProcessSpec.of(AgentRequest(prompt="any", agent="any"))
"""The process of a job whose request sets no limits."""


def chat_process_spec(settings: ApiSettings, agent: str) -> ProcessSpec:
    """Return the spec of the process for a chat completion that sets no model and no limits."""
    chosen = ModelCatalog(settings).choose(None)
    budget_usd = settings.openai_compat_budget_usd
    return ProcessSpec(agent=chosen.agent or agent, model=chosen.model, max_budget_usd=budget_usd)
