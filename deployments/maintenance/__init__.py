"""Deletes records and files past their retention period, and backs up a state directory.

Front door: `retention.Retention`, `backup.back_up`. Imports: host.
"""
