"""Reads the requests of agents to the provider, estimates their use, and refuses those that are not listed.

Front door: `request_policy.RequestPolicy`. Imports: provider.pricing, settings.
"""
