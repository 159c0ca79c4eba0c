"""Lets a run call the model without the credential; meters and limits it.

Front door: `proxy.ProviderProxy`. Imports: system, settings, domain.
"""
