"""One run for several requests of one caller: retries, reconnects, and requests that reach different hosts.

Front door: `shared_run.SharedRuns`. Imports: http.
"""
