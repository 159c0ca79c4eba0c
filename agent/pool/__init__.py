"""Gives each run a slot, and a process that was started ahead where one matches. A run never waits for the pool.

Front door: `warm_pool.WarmPool`, `slots.Slots`. Imports: workspaces, claude, settings, domain.
"""
