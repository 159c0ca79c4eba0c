"""Jobs over HTTP: POST /execute, GET /jobs, and the events of a job.

Front door: `routes.router`. Imports: http.
"""
