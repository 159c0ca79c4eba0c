"""Lists the items of a source of any type, and trusts none of them.

Front door: `listing.list_source`. Imports: nothing of tasks."""
