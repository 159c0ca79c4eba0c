"""What a flow run was asked for, as its parameters in Prefect say."""

from __future__ import annotations

from prefect.client.schemas.objects import FlowRun
from pydantic import ValidationError

from agent.models import AgentRequest


def read_request(flow_run: FlowRun) -> AgentRequest | None:
    """What the run was made with; None if that is no request, as the flow itself will say."""
    try:
        return AgentRequest.model_validate(flow_run.parameters.get("request"))
    except ValidationError:
        return None


def is_to_resume(flow_run: FlowRun) -> bool:
    """Whether the run was asked for with `on_crash: resume`."""
    request = flow_run.parameters.get("request")
    return isinstance(request, dict) and request.get("on_crash") == "resume"


def run_name(request: AgentRequest) -> str:
    """A name that a person recognises in the UI."""
    words = " ".join(request.prompt.split())
    return f"{request.agent}: {words[:60]}{'…' if len(words) > 60 else ''}"
