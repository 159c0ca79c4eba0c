"""Parts of HTTP that each route needs: middleware, errors, request bodies, server-sent events, OpenAPI.

Front door: `dependencies`, `errors.ApiError`. Imports: settings.
"""
