"""What callers will probably ask for before any has: a chat completion as configured, and some agent's job."""

from __future__ import annotations

from agent.models import AgentRequest
from agent.mold import Mold
from api.catalogue import Catalogue
from api.settings import ApiSettings

JOB_MOLD = Mold.of(AgentRequest(prompt="any", agent="any"))
"""A job with the limits that hold for whoever names none."""


def chat_mold(settings: ApiSettings) -> Mold:
    """A chat completion of a caller who chooses nothing."""
    chosen = Catalogue(settings).choose(None)
    return Mold(agent=chosen.agent, model=chosen.model, max_budget_usd=settings.openai_compat_budget_usd)
