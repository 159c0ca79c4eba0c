"""The steps of a triage: list the items, plan them, have each handled by an agent, report.

Front door: its four tasks, `context.TriageContext`.
Imports: items, sources, cancellation, markdown, progress_artifact, retry_policy."""
