"""Metrics, traces and logs of a host.

Front door: `metrics.HostMetrics`, `observers.Observer`. Imports: prefect_client, pools, settings.
"""
