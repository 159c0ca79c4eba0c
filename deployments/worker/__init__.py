"""Takes runs from the work pools; settles and resumes the runs that earlier host processes left.

Front door: `worker.AgentHostWorker`, `settlement.Settlement`. Imports: host, telemetry, prefect_client, pools,
settings.
"""
