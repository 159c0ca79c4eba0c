"""Takes secrets out of text and streams.

Front door: `redactor.Redactor`. Imports: settings, domain.
"""
