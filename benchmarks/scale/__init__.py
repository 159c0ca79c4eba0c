"""Runs several hosts on one Prefect server, PostgreSQL and Redis, and checks that they share the work.

Front door: `python -m benchmarks.scale`. Imports: chaos, demo.
"""
