"""The steps of a run: sync the workspace, invoke the agent, extract its result, publish it.

Front door: its four tasks, `context.RunContext`. Imports: cancellation, markdown, progress_artifact, retry_policy."""
