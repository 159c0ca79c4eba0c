"""Opens SQLite or PostgreSQL, migrates its tables, and reports each failure as StoreUnavailable.

Front door: `database.Database`. Imports: errors.
"""
