"""Hosts: take runs from Prefect and execute them on this machine.

Front door: `host.host.Host`, `settings.read_environment`. Imports: flows, tasks, agent, store.
"""
