"""The benchmarks, one file each, with a `main`.

Front door: a module's `main`. Imports: chaos, demo, harness, rivals, report, registry, timing.
"""
