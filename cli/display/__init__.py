"""Prints jobs and results, on a terminal and into pipes.

Front door: `job_view.open_view`, `job_result.show_ending`. Imports: agent."""
