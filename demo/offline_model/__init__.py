"""A scripted stand-in for the Messages API, for tests and the demo.

Front door: `model.OfflineModel`. Imports: nothing of ours.
"""
