"""Runs the embedded Prefect server and the host as one service.

Front door: `supervisor.supervise`. Imports: settings.
"""
