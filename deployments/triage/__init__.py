"""Runs triages on a host, by schedule or on demand.

Front door: `handler.TriageHandler`, `on_demand.start_triage`. Imports: worker, host, telemetry, prefect_client, pools.
"""
