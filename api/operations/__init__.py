"""Routes for operators: health, metrics, pause, register, triage, agents.

Front door: `router` of each file. Imports: jobs, http.
"""
