"""Keeps one bare mirror per remote, current and sound; its objects are what all checkouts borrow.

Front door: `registry.Mirrors`. Imports: git, system, settings, domain.
"""
