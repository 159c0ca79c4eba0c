"""Brings Prefect to what prefect.yaml says, and undoes nothing that an operator switched.

Front door: `bootstrap.apply_register`, `register.read_register`. Imports: worker (event names), pools, settings.
"""
