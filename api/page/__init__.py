"""The page at `/` and the API reference at `/docs`: static files that use the routes of the service.

Front door: `routes.router`. Imports: http.
"""
