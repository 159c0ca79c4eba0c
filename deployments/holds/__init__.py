"""The reasons of a host to start no agent: the operator's pause, the provider, the disk.

Front door: `holds.Holds`. Imports: prefect_client, pools, and flows for
their names.
"""
