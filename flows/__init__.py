"""The flows that Prefect runs; each file is the story of one, told by its tasks.

Front door: `agent_run.agent_run`, `triage.triage`. Imports: tasks, agent, store."""
