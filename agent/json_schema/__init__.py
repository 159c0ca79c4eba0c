"""Translates an answer's JSON Schema into one that the CLI and the provider accept, or refuses it before a run.

Front door: `translation.translate_schema`. Imports: system.
"""
