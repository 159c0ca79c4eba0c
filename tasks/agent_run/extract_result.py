"""Task: extract the result of an invocation."""

from __future__ import annotations

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from prefect import task
from prefect.cache_policies import NO_CACHE
from referencing import Registry

from agent.claude.result_message import read_result
from agent.domain.errors import AgentFailed
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Invocation
from agent.system.text import shorten_cause
from tasks.agent_run.context import step


@task(name="extract_result", cache_policy=NO_CACHE, persist_result=False)
@step
async def extract_result(request: AgentRequest, invocation: Invocation) -> AgentResult:
    """Return the answer, its cost and the changes. Raises AgentFailed or AgentTimedOut if the agent ended badly."""
    result = read_result(request, invocation)
    error = _schema_error(request, result)
    if error is not None:
        raise AgentFailed(result.model_copy(update={"error": error}))
    return result


def _schema_error(request: AgentRequest, result: AgentResult) -> str | None:
    """Return where the structured answer violates the caller's schema, None if it does not."""
    if request.json_schema is None:
        return None
    failure: ValidationError | None = best_match(
        # an empty registry: a `$ref` to somewhere else is an error, not a request
        Draft202012Validator(request.json_schema, registry=Registry()).iter_errors(result.structured)
    )
    return None if failure is None else shorten_cause(f"the answer does not follow the schema: {failure.message}")
