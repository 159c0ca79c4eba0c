"""Sources of known services: address, paging, key, fingerprint without what only moves, what is shown, and details.

Front door: the classes of each file, which `sources.models.Source` lists. Imports: base, expressions of sources.
"""
