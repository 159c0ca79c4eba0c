"""Lets a sandbox reach the listed destinations and nothing else.

Front door: `gateway.open_gateway`. Imports: system, domain.
"""
