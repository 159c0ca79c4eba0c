"""Other ways to the same answer: the bare CLI, the official SDK, Prefect's stock worker, a small service.

Front door: one module for each. Imports: demo, timing.
"""
