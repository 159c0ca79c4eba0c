"""The HTTP API of a host: jobs, OpenAI's chat completions, and routes for operators.

Front door: `server.main`, `app.create_app`. Imports: the floors below (deployments, flows, tasks, agent, store).
"""
