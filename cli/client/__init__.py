"""Reaches the service over HTTP, and survives its absence.

Front door: `service.reach_service`. Imports: agent, api.settings, deployments.settings; nothing that needs Prefect."""
