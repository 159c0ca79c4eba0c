"""Calls to Prefect with a time limit and one error, and flows that run in this process through its engine.

Front door: `calls.calling_prefect`. Imports: nothing of deployments.
"""
