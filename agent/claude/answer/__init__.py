"""Merges the results of a run's turns into its answer and cost, and checks the answer against the caller's schema.

Front door: `run_answer.RunAnswer`, `schema_check.find_violation`. Imports: claude.stream_json, system.
"""
