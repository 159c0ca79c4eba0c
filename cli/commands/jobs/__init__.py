"""Commands about jobs: run, list, show, follow, cancel.

Front door: a function of the command's name in each file. Imports: display, client, exit_status, errors.
"""
