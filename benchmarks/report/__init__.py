"""Figures, plots and tables, and BENCHMARKS.md made of them.

Front door: `results`. Imports: registry.
"""
