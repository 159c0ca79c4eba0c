"""Measures the service beside its rivals and writes BENCHMARKS.md.

Front door: `python -m benchmarks`. Imports: all other layers.
"""
