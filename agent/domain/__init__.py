"""The words of the runtime: what is asked for, what is returned, what happens in between, and what fails.

Front door: `request`, `result`, `events`, `errors`. Imports: nothing.
"""
