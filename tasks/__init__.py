"""The steps of the flows: tasks that Prefect retries, and the code that only they use.

Front door: the tasks of each package. Imports: agent, store."""
