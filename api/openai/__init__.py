"""OpenAI's API: shapes, translation, streaming.

Front door: `chat.router`, `list_models.router`. Imports: runs, http, settings.
"""
