"""Starts a process isolated and limited, and leaves nothing of it.

Front door: `sandbox.Sandbox`. Imports: egress, system, settings, domain.
"""
