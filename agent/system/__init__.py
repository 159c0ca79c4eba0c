"""Files, processes, addresses, asyncio, text. Knows nothing of agents.

Front door: plain functions. Imports: domain.
"""
