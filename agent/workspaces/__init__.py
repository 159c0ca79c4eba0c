"""Gives each run a clean checkout at the newest commit, and keeps what the run did not push.

Front door: `workspaces.Workspaces`. Imports: mirrors, git, redaction, system, settings, domain.
"""
