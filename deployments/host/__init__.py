"""Executes runs on this machine, from the queue or for a caller that waits.

Front door: `host.open_host`, `job_queue.JobQueue`. Imports: telemetry, holds, prefect_client, pools, settings.
"""
