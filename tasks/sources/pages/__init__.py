"""Pages of an HTTP endpoint: bodies unpacked within a bound, JSON or a feed in them, and the way to the next page.

Front door: `paging.Paging`. Imports: base, errors, expressions and mail's HTML of sources.
"""
