"""The agent runtime: runs the claude CLI in a sandbox on a git checkout. Knows neither Prefect nor HTTP APIs.

Front door: `runtime.Runtime`. Imports: nothing of the other layers.
"""
