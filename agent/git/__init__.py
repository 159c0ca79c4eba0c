"""Runs git such that nothing in a repository runs with it.

Front door: `git.Git`. Imports: redaction, system, settings, domain.
"""
