"""The parts that benchmarks share: a service to measure, callers, and readings of time and memory.

Front door: `service.open_scene`. Imports: demo, rivals, report, timing.
"""
