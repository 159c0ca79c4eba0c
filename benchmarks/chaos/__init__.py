"""Kills parts of a running service and checks that no job is lost, doubled or left running.

Front door: `python -m benchmarks.chaos`. Imports: demo.
"""
