"""Keeps what Prefect cannot hold: requests, outcomes, journals, idempotency keys, handled items.

Front door: `store.Store`, `store.open_store`. Imports: journal, database, settings, errors.
"""
