"""Runs one CLI process and turns what it prints into events and a result.

Front door: `launcher.Launcher`, `turn.Turn`. Imports: sandbox, provider, redaction, system, settings, domain.
"""
