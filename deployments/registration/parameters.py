"""Checks the parameters of a deployment against the request of its flow, unknown members included."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from agent.domain.request import AgentRequest
from agent.domain.sealing import seal_meaningful
from agent.settings import AgentSettings
from deployments.pools import AGENTS, TRIAGE
from flows.agent_run import agent_run
from flows.triage import triage
from tasks.sources.strict import place_of_mistake, refuse_unknown_members
from tasks.triage.models import TriageRequest

REQUESTS: Mapping[str, type[AgentRequest | TriageRequest]] = {
    agent_run.name: AgentRequest,
    triage.name: TriageRequest,
}
"""The request of each flow that hosts run: its only parameter."""

FLOW_POOLS: Mapping[str, str] = {agent_run.name: AGENTS, triage.name: TRIAGE}

MAX_PARAMETER_BYTES = 524_288
"""Prefect's default of PREFECT_SERVER_API_MAX_PARAMETER_SIZE."""

Location = tuple[str | int, ...]


class ParameterError(Exception):
    """The parameters cannot be used; `location` is the member within them."""

    def __init__(self, location: Location, reason: str) -> None:
        super().__init__(reason)
        self.location = location


def check_parameters(
    flow_name: str, parameters: Mapping[str, Any], *, whole: bool = True
) -> AgentRequest | TriageRequest | None:
    """Return the request of a run with these parameters. Raises ParameterError.

    Without `whole`, None for a request in which something is missing: a caller, or the form in Prefect's UI, adds it.
    """
    for name in parameters:
        if name != "request":
            raise ParameterError((name,), f"the flow {flow_name} has no parameter {name!r}; its only one is request")
    if "request" not in parameters:
        raise ParameterError((), f"a run needs the parameter request: {_required(REQUESTS[flow_name])}")
    if len(json.dumps(to_jsonable_python(dict(parameters)))) > MAX_PARAMETER_BYTES:
        raise ParameterError(("request",), f"parameters are longer than Prefect's limit of {MAX_PARAMETER_BYTES} bytes")
    raw = parameters["request"]
    try:
        if isinstance(raw, Mapping):
            refuse_unknown_members(REQUESTS[flow_name], raw, "request")
        request = REQUESTS[flow_name].model_validate(raw)
    except ValidationError as error:
        present = [one for one in error.errors() if one["type"] != "missing"]
        if not whole and not present:
            return None
        location, reason = place_of_mistake(error)
        if not whole and reason == "Field required":
            location, reason = present[0]["loc"], present[0]["msg"]
        raise ParameterError(location if location[:1] == ("request",) else ("request", *location), reason) from None
    _check_schema(request.json_schema)
    return request


def sealed_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as Prefect may have them: without members that it would take for its own."""
    return {name: seal_meaningful(value) if isinstance(value, Mapping) else value for name, value in parameters.items()}


def request_check(settings: AgentSettings) -> Callable[[AgentRequest | TriageRequest], None]:
    """Return a check that raises ValueError for a request that a host with these settings refuses."""

    def check(request: AgentRequest | TriageRequest) -> None:
        if request.max_budget_usd > settings.max_budget_usd_limit:
            raise ValueError(f"max_budget_usd must be at most MAX_BUDGET_USD_LIMIT={settings.max_budget_usd_limit:g}")
        if request.timeout_seconds > settings.max_timeout_seconds_limit:
            limit = settings.max_timeout_seconds_limit
            raise ValueError(f"timeout_seconds must be at most MAX_TIMEOUT_SECONDS_LIMIT={limit}")
        if request.workspace not in settings.workspace_names:
            known = ", ".join(settings.workspace_names)
            raise ValueError(f"there is no workspace {request.workspace!r} in WORKSPACES; there are {known}")

    return check


def _required(model: type[BaseModel]) -> str:
    return ", ".join(name for name, field in model.model_fields.items() if field.is_required())


def _check_schema(schema: dict[str, Any] | None) -> None:
    if schema is None:
        return
    if schema.get("type", "object") != "object":
        raise ParameterError(("request", "json_schema", "type"), "it must be object: put other values into a member")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ParameterError(("request", "json_schema", *error.absolute_path), error.message) from None
