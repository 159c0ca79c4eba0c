"""The checks of `agent-service doctor`: each finds what is wrong on this host and names what to type.

Front door: `checks.run_checks`. Imports: client; every layer below.
"""
