"""Keeps the events of runs in order and wakes the readers of each run, on any host.

Front door: `journal.Journal`. Imports: database, errors.
"""
