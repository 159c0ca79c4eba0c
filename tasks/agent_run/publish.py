"""Task: store the outcome of a run and publish its artifacts."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE

from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from tasks.agent_run.context import RunContext, current_run, step
from tasks.agent_run.outcome import end_journal
from tasks.agent_run.parent_triage import current_parent
from tasks.agent_run.report import render_diff, render_report
from tasks.retry_policy import is_retryable
from tasks.stored_outcome import summarize


@task(
    name="publish",
    retries=3,
    retry_delay_seconds=[0.5, 2, 5],
    retry_condition_fn=is_retryable,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@step
async def publish(request: AgentRequest, outcome: Outcome) -> Outcome:
    """Store the outcome with the agent's changes in git, and publish both as artifacts.

    Raises StoreUnavailable if it cannot be stored. An artifact that cannot be created is only a warning.
    """
    run = current_run()
    await run.leave_slot()
    outcome = await _with_workspace(run, outcome)
    await run.store.outcomes.save(run.run_id, outcome.model_dump_json(), summarize(outcome))
    end_journal(run, outcome)
    try:
        await _leave_artifacts(request, outcome)
    except Exception as error:
        get_run_logger().warning("the artifact could not be made: %s", error)
    return outcome


async def _leave_artifacts(request: AgentRequest, outcome: Outcome) -> None:
    await acreate_markdown_artifact(
        render_report(request, outcome, current_parent()), description=f"What {request.agent} answered"
    )
    workspace = outcome.result.workspace if outcome.result is not None else None
    if workspace is not None and (diff := render_diff(workspace)):
        await acreate_markdown_artifact(diff, description=f"What {request.agent} changed in git")


async def _with_workspace(run: RunContext, outcome: Outcome) -> Outcome:
    """Return the outcome with the changes in the workspace, if an agent worked there."""
    if run.checkout is None or outcome.result is None:
        return outcome
    report = await run.runtime.collect(run.slot, run.checkout, str(run.run_id))
    return outcome.model_copy(update={"result": outcome.result.model_copy(update={"workspace": report})})
