"""The checks of `agent-service doctor`: what is wrong on this host, and what mends it.

Front door: `checks.run_checks`. Imports: client, display; every layer below."""
